"""Routes of staff about the rides of all riders. Each write makes an audit entry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Final, Self

from flask import Blueprint, Response
from pydantic import Field, model_validator

from service.api.fields import AccountSub, Instant, Nothing, PageQuery, UnicornId
from service.api.rides import Cancelation
from service.api.staff_views import TimelineView, timeline_view
from service.api.views import StaffRideListView, StaffRideView, staff_ride_view
from service.auth import policy
from service.core import staff
from service.core.transition import stored_ride
from service.http import audit, cursors
from service.http.context import dependencies
from service.http.responses import answer, entity_tag
from service.http.route import Route
from service.logs import add_log_context
from service.model import Page, Ride, RideStatus

blueprint: Final = Blueprint("admin_rides", __name__)

LISTED: Final = timedelta(days=1)
"""How far back the list of rides goes by default."""
CLOCK_SKEW: Final = timedelta(seconds=30)
"""How far the clock of another process that stores rides may be ahead of ours."""


class AllRidesQuery(PageQuery):
    """The rides to return, newest first: of one rider, of one unicorn, or of all.

    Without a rider, a unicorn and `since`: the rides of the last day.
    """

    status: Annotated[RideStatus, Field(strict=False)] | None = None
    since: Instant | None = None
    rider_id: AccountSub | None = None
    unicorn_id: UnicornId | None = None

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if self.rider_id and self.unicorn_id:
            raise ValueError("must name a rider or a unicorn, not both")
        return self


@Route(
    blueprint, "GET", "/v1/admin/rides", policy=policy.ADMIN_READ, answers={200: StaffRideListView}
)
def list_all_rides(query: AllRidesQuery) -> Response:
    """List rides of all riders, of one rider or of one unicorn, newest first.

    Without a rider, a unicorn and `since`, lists the rides of the last day. A page may hold fewer
    rides than `limit` although more follow.
    """
    page, next_cursor = cursors.read_page(cursors.ALL_RIDES, query.cursor, partial(_listed, query))
    rides = list(map(staff_ride_view, page))
    return answer(200, StaffRideListView(rides=rides, next_cursor=next_cursor))


@Route(
    blueprint,
    "GET",
    "/v1/admin/rides/<ride_id>",
    policy=policy.ADMIN_READ,
    sends=("ETag",),
    answers={200: StaffRideView},
)
def show_any_ride(ride_id: str) -> Response:
    """Show a ride of any rider."""
    return _shown(stored_ride(dependencies().ports, ride_id))


@Route(
    blueprint,
    "GET",
    "/v1/admin/rides/<ride_id>/timeline",
    policy=policy.ADMIN_READ,
    answers={200: TimelineView},
)
def show_timeline(ride_id: str) -> Response:
    """Show the timeline of a ride: each step with its cause, oldest first."""
    return answer(200, timeline_view(stored_ride(dependencies().ports, ride_id)))


@Route(
    blueprint,
    "POST",
    "/v1/admin/rides/<ride_id>/cancel",
    policy=policy.ADMIN_RIDES,
    sends=("ETag",),
    answers={200: StaffRideView},
)
def cancel_any_ride(ride_id: str, body: Cancelation) -> Response:
    """Cancel a ride in any open state; a repeated call changes nothing."""
    deps = dependencies()
    add_log_context(ride_id=ride_id)
    ride = staff.cancel_as_admin(deps.ports, ride_id, body.reason, deps.now())
    audit.wrote("ride canceled", ride_id=ride_id)
    return _shown(ride)


@Route(
    blueprint,
    "POST",
    "/v1/admin/rides/<ride_id>/reassign",
    policy=policy.ADMIN_RIDES,
    sends=("ETag",),
    answers={200: StaffRideView},
)
def reassign_ride(ride_id: str, body: Nothing) -> Response:
    """Take a ride from its unicorn, which never gets it again, and find another unicorn."""
    deps = dependencies()
    add_log_context(ride_id=ride_id)
    ride = staff.reassign_ride(deps.ports, ride_id, deps.now())
    audit.wrote("ride reassigned", ride_id=ride_id)
    return _shown(ride)


def _listed(query: AllRidesQuery, start: Mapping[str, str] | None) -> Page[Ride]:
    deps = dependencies()
    rides, now = deps.ports.rides, deps.now()
    if query.rider_id or query.unicorn_id:
        listing = (
            partial(rides.list_of_rider, query.rider_id)
            if query.rider_id
            else partial(rides.list_of_unicorn, query.unicorn_id or "")
        )
        return listing(status=query.status, limit=query.limit, start=start, since=query.since)
    return deps.oversight.history.newest(
        since=query.since or now - LISTED,
        until=now + CLOCK_SKEW,
        status=query.status,
        limit=query.limit,
        start=start,
    )


def _shown(ride: Ride) -> Response:
    return answer(200, staff_ride_view(ride), {"ETag": entity_tag(ride.version)})
