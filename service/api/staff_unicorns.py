"""Routes of staff about the fleet; only admins change it. Each write makes an audit entry."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any, Final, Self

from flask import Blueprint, Response
from pydantic import ConfigDict, Field, model_validator

from service.api.fields import AccountSub, Name, PageQuery, Point, Strict, UnicornId, left_out
from service.api.unicorn_views import UnicornListView, UnicornView, unicorn_view
from service.auth import policy
from service.core import staff, unicorns
from service.core.transition import stored_unicorn
from service.core.unicorns import LocatedUnicorn
from service.http import audit, cursors, headers
from service.http.context import dependencies
from service.http.paths import link
from service.http.responses import answer, empty, entity_tag
from service.http.route import Route
from service.model import Unicorn

blueprint: Final = Blueprint("admin_fleet", __name__)


class NewUnicorn(Strict):
    """A unicorn to enroll; `location` counts as a position reported now."""

    name: Name
    color: Name
    gender: Name
    unicorn_id: UnicornId | None = None
    account_sub: AccountSub | None = None
    auto_accept: bool = True
    location: Point | None = None

    def unicorn(self, new_id: str) -> Unicorn:
        """The unicorn, with `new_id` unless the body has an id."""
        particulars = self.model_dump(exclude={"unicorn_id", "location"})
        return Unicorn(unicorn_id=self.unicorn_id or new_id, **particulars)


class UnicornPatch(Strict):
    """Changes of a unicorn: fields left out stay as they are; `account_sub` may be null."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: Name = Field(default_factory=left_out)
    color: Name = Field(default_factory=left_out)
    gender: Name = Field(default_factory=left_out)
    account_sub: AccountSub | None = None
    auto_accept: bool = Field(default_factory=left_out)
    accepting: bool = Field(default_factory=left_out)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must have at least one field")
        return self

    def particulars(self) -> dict[str, Any]:
        """The changed fields without `accepting`."""
        return self.model_dump(exclude_unset=True, exclude={"accepting"})


@Route(
    blueprint, "GET", "/v1/admin/unicorns", policy=policy.ADMIN_READ, answers={200: UnicornListView}
)
def list_unicorns(query: PageQuery) -> Response:
    """List the whole fleet, removed unicorns too, in no particular order."""
    deps = dependencies()
    page, next_cursor = cursors.read_page(
        cursors.UNICORNS, query.cursor, partial(deps.oversight.roster.unicorns, limit=query.limit)
    )
    views = [unicorn_view(unicorns.view(deps.ports, each, deps.now())) for each in page]
    return answer(200, UnicornListView(unicorns=views, next_cursor=next_cursor))


@Route(
    blueprint,
    "POST",
    "/v1/admin/unicorns",
    policy=policy.ADMIN_WRITE,
    sends=("ETag", "Location"),
    answers={201: UnicornView},
)
def enroll_unicorn(body: NewUnicorn) -> Response:
    """Add a unicorn to the fleet; it is off duty until its account or an admin changes that."""
    deps = dependencies()
    unicorn = body.unicorn(str(uuid.uuid4()))
    at = body.location.location() if body.location else None
    view = staff.enroll(deps.ports, unicorn, at, deps.now())
    audit.wrote("unicorn enrolled", unicorn_id=unicorn.unicorn_id)
    path = f"/v1/admin/unicorns/{unicorn.unicorn_id}"
    return _shown(201, view, {"Location": link(deps.settings.public_url, path)})


@Route(
    blueprint,
    "GET",
    "/v1/admin/unicorns/<unicorn_id>",
    policy=policy.ADMIN_READ,
    sends=("ETag",),
    answers={200: UnicornView},
)
def show_unicorn(unicorn_id: str) -> Response:
    """Show a unicorn, with its last position if that is fresh.

    Its state is `non_contactable` while it should call and does not.
    """
    deps = dependencies()
    unicorn = stored_unicorn(deps.ports, unicorn_id)
    return _shown(200, unicorns.view(deps.ports, unicorn, deps.now()))


@Route(
    blueprint,
    "PATCH",
    "/v1/admin/unicorns/<unicorn_id>",
    policy=policy.ADMIN_WRITE,
    headers=("If-Match",),
    sends=("ETag",),
    answers={200: UnicornView},
)
def change_unicorn(unicorn_id: str, body: UnicornPatch) -> Response:
    """Change a unicorn or put it on or off duty, if it still has the version in If-Match."""
    deps = dependencies()
    now, precondition = deps.now(), headers.expected_version()
    unicorn = staff.amend(
        deps.ports, unicorn_id, body.particulars(), body.accepting, now, precondition
    )
    audit.wrote("unicorn changed", unicorn_id=unicorn_id)
    return _shown(200, unicorns.view(deps.ports, unicorn, now))


@Route(
    blueprint,
    "DELETE",
    "/v1/admin/unicorns/<unicorn_id>",
    policy=policy.ADMIN_WRITE,
    headers=("If-Match",),
    answers={204: None},
)
def remove_unicorn(unicorn_id: str) -> Response:
    """Remove a unicorn for good, if it still has the version in If-Match."""
    deps = dependencies()
    staff.remove_unicorn(deps.ports, unicorn_id, deps.now(), headers.expected_version())
    audit.wrote("unicorn removed", unicorn_id=unicorn_id)
    return empty(204)


def _shown(status: int, located: LocatedUnicorn, extra: dict[str, str] | None = None) -> Response:
    tag = {"ETag": entity_tag(located.unicorn.version)}
    return answer(status, unicorn_view(located), tag | (extra or {}))
