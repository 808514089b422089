"""Routes of admins: the fleet. Each write leaves an audit line."""

from __future__ import annotations

import logging
import uuid
from typing import Final

from flask import Blueprint, Response

from service.api import headers
from service.api.answers import answer, entity_tag
from service.api.context import caller, dependencies
from service.api.representations import unicorn_representation
from service.api.routing import route
from service.api.schemas import NewUnicorn, UnicornPatch
from service.api.shapes import UnicornRepresentation
from service.auth import policy
from service.core import fleet, progress
from service.core.fleet import UnicornView
from service.core.model import Unicorn

blueprint: Final = Blueprint("admin", __name__)
audit: Final = logging.getLogger("service.audit")


@route(
    blueprint,
    "POST",
    "/v1/admin/unicorns",
    policy=policy.ADMIN_WRITE,
    body=NewUnicorn,
    answers={201: UnicornRepresentation},
)
def enroll_unicorn(body: NewUnicorn) -> Response:
    """Add a unicorn to the fleet; off duty until its account or an admin says otherwise."""
    deps = dependencies()
    unicorn = Unicorn(
        unicorn_id=body.unicorn_id or str(uuid.uuid4()),
        name=body.name,
        color=body.color,
        gender=body.gender,
        account_sub=body.account_sub,
        auto_accept=body.auto_accept,
    )
    at = body.location.location() if body.location else None
    view = fleet.enroll(deps.ports, unicorn, at, deps.now())
    _audit("unicorn enrolled", unicorn.unicorn_id)
    return _shown(201, view, {"Location": f"/v1/admin/unicorns/{unicorn.unicorn_id}"})


@route(
    blueprint,
    "GET",
    "/v1/admin/unicorns/<unicorn_id>",
    policy=policy.ADMIN_READ,
    answers={200: UnicornRepresentation},
)
def show_unicorn(unicorn_id: str) -> Response:
    """One unicorn as stored, with its last position."""
    deps = dependencies()
    unicorn = progress.stored_unicorn(deps.ports, unicorn_id)
    return _shown(200, fleet.view(deps.ports, unicorn, deps.now()))


@route(
    blueprint,
    "PATCH",
    "/v1/admin/unicorns/<unicorn_id>",
    policy=policy.ADMIN_WRITE,
    body=UnicornPatch,
    headers=("If-Match",),
    answers={200: UnicornRepresentation},
)
def change_unicorn(unicorn_id: str, body: UnicornPatch) -> Response:
    """Put a unicorn on or off duty, if it still is the version named by If-Match."""
    deps = dependencies()
    now, expected = deps.now(), headers.expected_version()
    unicorn = progress.set_availability(deps.ports, unicorn_id, body.accepting, now, expected)
    _audit("unicorn changed", unicorn_id)
    return _shown(200, fleet.view(deps.ports, unicorn, now))


def _shown(status: int, view: UnicornView, about: dict[str, str] | None = None) -> Response:
    tag = {"ETag": entity_tag(view.unicorn.version)}
    return answer(status, unicorn_representation(view), tag | (about or {}))


def _audit(what: str, unicorn_id: str) -> None:
    audit.info(what, extra={"by": caller().subject, "unicorn_id": unicorn_id})
