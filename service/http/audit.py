"""The audit log: who was refused, from where and why, and what staff changed.

Each change by staff is also stored (one write), so that staff can read it. The log line is written
first, so that it is there even if the store fails.

The log never holds a token. Causes are fixed texts of this service. Ids come from signed tokens and
validated bodies, and the log's JSON escapes them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, Final

from flask import g, request

from service.http.context import dependencies, request_id
from service.http.gateway import gateway_facts
from service.model.errors import Unavailable
from service.model.operations import AuditEntry
from service.observability.instruments import REFUSALS

logger = logging.getLogger(__name__)
audit: Final = logging.getLogger("service.audit")

_LONGEST_CAUSE: Final = 200
UNKNOWN: Final = "unknown"
_LONGEST_ADDRESS: Final = 64


def refused(reason: str, cause: str) -> None:
    """Log and count a refused request; `cause` goes to the log only, not to the client."""
    REFUSALS.labels(reason).inc()
    hops = dependencies().settings.trusted_proxy_hops
    refusal = {
        "reason": reason,
        "cause": cause[:_LONGEST_CAUSE],
        "address": client_address(request.environ, hops),
    }
    audit.info("refused", extra={**_who(), **refusal})


def wrote(what: str, **ids: str) -> None:
    """Record a change by staff: one line in the log, and one entry that staff can read."""
    part_of_action(what, **ids)
    _store(what, ids)


def part_of_action(what: str, **ids: str) -> None:
    """Record one of many changes that a single action made: a line in the log only."""
    audit.info(what, extra={**_who(), **ids})


def outcome_unknown(status: int) -> None:
    """Record that staff tried a change, and that it is unknown whether the change was stored."""
    ids = request.view_args or {}
    audit.warning("outcome unknown", extra={**_who(), "status": status, **ids})
    _store("outcome unknown", {**ids, "status": str(status)})


def _store(action: str, subjects: Mapping[str, str]) -> None:
    deps, who = dependencies(), _who()
    entry = AuditEntry(
        audit_id=uuid.uuid4().hex,
        at=deps.now(),
        action=action,
        sub=who["sub"],
        client_id=who["client_id"],
        request_id=request_id(),
        method=request.method,
        route=who["route"],
        subjects=subjects,
    )
    try:
        deps.oversight.audit.put(entry)
    except Unavailable as error:
        # The action is done, and its line is in the log.
        logger.warning("audit entry not stored", extra={"cause": str(error)})


def _who() -> dict[str, str | None]:
    rule, caller = request.url_rule, g.get("principal")
    return {
        "method": request.method,
        "route": rule and rule.rule,
        "sub": caller and caller.subject,
        "client_id": caller and caller.client_id,
        "jti": caller and caller.jti,
    }


def client_address(environ: Mapping[str, Any], trusted_hops: int) -> str:
    """The client's IPv4 address, or its IPv6 /64 network (a client has a whole /64, RFC 6177).

    Each of the `trusted_hops` proxies in front of us appends the address that it saw to
    `X-Forwarded-For`; a client can invent what stands before those. Without proxies, or if the
    header has fewer entries, the result is the address of the connection. If the request came
    through our gateway, the result is the address that the gateway saw.
    """
    facts = gateway_facts(environ)
    if facts:
        return _normal(facts.address[-_LONGEST_ADDRESS:])
    peer = environ.get("REMOTE_ADDR", "")
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    if trusted_hops and forwarded:
        entries = forwarded.rsplit(",", trusted_hops)
        if len(entries) >= trusted_hops:
            peer = entries[-trusted_hops]
    return _normal(peer[-_LONGEST_ADDRESS:])


@lru_cache(4096)
def _normal(text: str) -> str:
    text = text.strip(" \t")
    if text.startswith("["):
        # Some proxies add the port: [2001:db8::1]:443 or 192.0.2.1:443.
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return UNKNOWN
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
