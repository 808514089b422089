"""Routes of admins about the fleet. Each write leaves an audit line."""

from __future__ import annotations

import uuid
from typing import Final

from flask import Blueprint, Response

from service.api.admin_schemas import Listing, UnicornPatch
from service.api.admin_shapes import UnicornListView
from service.api.fields import NewUnicorn
from service.api.shapes import UnicornRepresentation
from service.api.views import unicorn_representation
from service.auth import policy
from service.core import staff, unicorns
from service.core.transition import stored_unicorn
from service.core.unicorns import UnicornView
from service.http import audit, cursors, headers
from service.http.context import caller, dependencies
from service.http.responses import answer, empty, entity_tag
from service.http.route import route

blueprint: Final = Blueprint("admin_fleet", __name__)


@route(
    blueprint,
    "GET",
    "/v1/admin/unicorns",
    policy=policy.ADMIN_READ,
    query=Listing,
    answers={200: UnicornListView},
)
def list_unicorns(query: Listing) -> Response:
    """The whole fleet, removed unicorns too, in no particular order."""
    deps, subject = dependencies(), caller().subject
    start = cursors.key_of(query.cursor, subject, cursors.UNICORNS)
    page = deps.oversight.roster.unicorns(limit=query.limit, start=start)
    views = [unicorns.view(deps.ports, unicorn, deps.now()) for unicorn in page.items]
    listed: UnicornListView = {
        "unicorns": [unicorn_representation(view) for view in views],
        "next_cursor": cursors.cursor_of(page.next_key, subject, cursors.UNICORNS),
    }
    return answer(200, listed)


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
    unicorn = body.unicorn(str(uuid.uuid4()))
    at = body.location.location() if body.location else None
    view = staff.enroll(deps.ports, unicorn, at, deps.now())
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
    unicorn = stored_unicorn(deps.ports, unicorn_id)
    return _shown(200, unicorns.view(deps.ports, unicorn, deps.now()))


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
    """Change a unicorn, or put it on or off duty, if it is the version named by If-Match."""
    deps = dependencies()
    now, expected = deps.now(), headers.expected_version()
    unicorn = staff.amend(deps.ports, unicorn_id, body.particulars(), body.accepting, now, expected)
    audit.wrote("unicorn changed", unicorn_id=unicorn_id)
    return _shown(200, unicorns.view(deps.ports, unicorn, now))


@route(
    blueprint,
    "DELETE",
    "/v1/admin/unicorns/<unicorn_id>",
    policy=policy.ADMIN_WRITE,
    headers=("If-Match",),
    answers={204: None},
)
def remove_unicorn(unicorn_id: str) -> Response:
    """Take a unicorn out of the fleet for good, if it is the version named by If-Match."""
    deps = dependencies()
    staff.remove_unicorn(deps.ports, unicorn_id, deps.now(), headers.expected_version())
    audit.wrote("unicorn removed", unicorn_id=unicorn_id)
    return empty(204)


def _shown(status: int, view: UnicornView, about: dict[str, str] | None = None) -> Response:
    tag = {"ETag": entity_tag(view.unicorn.version)}
    return answer(status, unicorn_representation(view), tag | (about or {}))
