"""The audit log: who was refused and why, and what staff changed. Never a token.

The causes are our own words. Ids come from signed tokens and validated bodies, and the log's JSON
escapes them.
"""

from __future__ import annotations

import logging
from typing import Final

from flask import g, request

from service.http.addresses import client_address
from service.http.context import dependencies
from service.observability.instruments import REFUSALS

audit: Final = logging.getLogger("service.audit")

_LONGEST_CAUSE: Final = 200


def refused(reason: str, cause: str) -> None:
    """The request is not let in; `cause` is not told to the client."""
    REFUSALS.labels(reason).inc()
    hops = dependencies().settings.trusted_proxy_hops
    about = {
        "reason": reason,
        "cause": cause[:_LONGEST_CAUSE],
        "address": client_address(request.environ, hops),
    }
    audit.info("refused", extra={**_who(), **about})


def wrote(what: str, **ids: str) -> None:
    """A member of staff changed something."""
    audit.info(what, extra={**_who(), **ids})


def _who() -> dict[str, str | None]:
    rule, caller = request.url_rule, g.get("principal")
    return {
        "method": request.method,
        "route": rule and rule.rule,
        "sub": caller and caller.subject,
        "client_id": caller and caller.client_id,
        "jti": caller and caller.jti,
    }
