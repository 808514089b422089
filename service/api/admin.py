"""Routes of admins: the fleet, and tokens to be refused. Each write leaves an audit line."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final

from flask import Blueprint, Response

from service.api import audit, headers
from service.api.answers import answer, empty, entity_tag
from service.api.context import dependencies
from service.api.representations import unicorn_representation
from service.api.routing import route
from service.api.schemas import NewUnicorn, Revocation, UnicornPatch
from service.api.shapes import UnicornRepresentation
from service.auth import policy
from service.core import fleet, progress
from service.core.fleet import UnicornView
from service.core.model import Unicorn

blueprint: Final = Blueprint("admin", __name__)

LONGEST_TOKEN_LIFE: Final = timedelta(hours=24)
"""Cognito's, and what the verifier accepts, but for the leeway at either end."""


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
    audit.wrote("unicorn enrolled", unicorn_id=unicorn.unicorn_id)
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
    audit.wrote("unicorn changed", unicorn_id=unicorn_id)
    return _shown(200, fleet.view(deps.ports, unicorn, now))


@route(
    blueprint,
    "POST",
    "/v1/admin/revocations",
    policy=policy.ADMIN_WRITE,
    body=Revocation,
    answers={204: None},
)
def revoke(body: Revocation) -> Response:
    """Refuse a token, all tokens of a sign-in, or all of a subject until now, within seconds."""
    deps = dependencies()
    now = deps.now()
    ((kind, value),) = body.marks().items()
    deps.revocations.put(kind, value, revoked_at=now, expires_at=now + _memory(kind))
    deps.revoked.forget()
    audit.wrote("revoked", kind=kind, value=value)
    return empty(204)


def _memory(kind: str) -> timedelta:
    """How long a revocation matters: until the last token it concerns has ended."""
    settings = dependencies().settings
    if kind == "jti":
        return LONGEST_TOKEN_LIFE + timedelta(seconds=2 * settings.auth_leeway_seconds)
    return timedelta(seconds=settings.auth_session_max_seconds)


def _shown(status: int, view: UnicornView, about: dict[str, str] | None = None) -> Response:
    tag = {"ETag": entity_tag(view.unicorn.version)}
    return answer(status, unicorn_representation(view), tag | (about or {}))
