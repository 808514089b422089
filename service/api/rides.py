"""Routes of riders: request, show, wait for, cancel and rate rides."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from flask import Blueprint, Response
from pydantic import BeforeValidator, Field

from service.api.fields import PageQuery, Point, ShortText, Strict, whole_number
from service.api.views import LiveRideView, RideListView, RideView, ride_view
from service.auth import policy
from service.core import rides
from service.core.rides import RideOrder, is_settled
from service.core.watch import live_view
from service.http import cursors, headers
from service.http.context import caller, dependencies, request_id
from service.http.gate import granted_wait, wait_for_ride
from service.http.guard import check_again, is_still_admitted
from service.http.paths import link
from service.http.responses import answer, empty, entity_tag
from service.http.route import Route
from service.logs import add_log_context
from service.model import Rating, Ride, RideStatus

blueprint: Final = Blueprint("rides", __name__)


class RideRequest(Strict):
    """A ride from `pickup`, to `dropoff` if that is known."""

    pickup: Point
    dropoff: Point | None = None
    note: ShortText | None = None


class Cancelation(Strict):
    """The reason for which a ride is canceled."""

    reason: ShortText | None = None


class RideRating(Strict):
    """The rider's rating of a completed ride."""

    stars: Annotated[int, Field(ge=1, le=5), BeforeValidator(whole_number)]
    comment: ShortText | None = None


class RidesQuery(PageQuery):
    """The part of the caller's rides to return, newest first."""

    status: Annotated[RideStatus, Field(strict=False)] | None = None


@Route(
    blueprint,
    "POST",
    "/v1/rides",
    policy=policy.RIDES_WRITE,
    headers=("Idempotency-Key", "Prefer"),
    sends=("ETag", "Location", "Retry-After", "Idempotency-Replayed", "Preference-Applied"),
    answers={201: RideView, 202: RideView},
)
def request_ride(body: RideRequest) -> Response:
    """Request a ride; 201 if a unicorn was found during the wait, otherwise 202."""
    deps = dependencies()
    ride, replayed = rides.request_ride(deps.ports, _order(body), deps.now())
    add_log_context(ride_id=ride.ride_id)
    if wait := granted_wait():
        waited = wait_for_ride(ride, is_settled, wait)
        # If the token ended during the wait, the answer shows the ride as it was accepted.
        ride = waited if is_still_admitted() else ride
    return _accepted(ride, replayed, headers.wait_applied(wait))


@Route(blueprint, "GET", "/v1/rides", policy=policy.RIDES_READ, answers={200: RideListView})
def list_rides(query: RidesQuery) -> Response:
    """List the caller's rides, newest first; with `status`, a page may hold fewer than `limit`."""
    rides_of = dependencies().ports.rides.list_of_rider
    page, next_cursor = cursors.read_page(
        cursors.RIDES,
        query.cursor,
        partial(rides_of, caller().subject, status=query.status, limit=query.limit),
    )
    return answer(200, RideListView(rides=list(map(ride_view, page)), next_cursor=next_cursor))


@Route(
    blueprint,
    "GET",
    "/v1/rides/<ride_id>",
    policy=policy.RIDES_READ,
    headers=("If-None-Match", "Prefer"),
    sends=("ETag", "Preference-Applied"),
    answers={200: RideView, 304: None},
)
def show_ride(ride_id: str) -> Response:
    """Show a ride; with `Prefer: wait`, wait until it changes."""
    ride = rides.own_ride(dependencies().ports, ride_id, caller().subject)
    wait = granted_wait()
    if wait and not _is_news(ride):
        ride = wait_for_ride(ride, _is_news, wait)
        check_again()
    extra = {"ETag": entity_tag(ride.version), **headers.wait_applied(wait)}
    if headers.not_modified(ride.version):
        return empty(304, extra)
    return answer(200, ride_view(ride), extra)


@Route(
    blueprint,
    "GET",
    "/v1/rides/<ride_id>/live",
    policy=policy.RIDES_READ,
    answers={200: LiveRideView},
)
def show_live_ride(ride_id: str) -> Response:
    """Show what changes without a new version of the ride: its unicorn's position and ETAs."""
    deps = dependencies()
    ride = rides.own_ride(deps.ports, ride_id, caller().subject)
    live = live_view(deps.ports, deps.ports.pickup_etas, ride, deps.now())
    return answer(200, LiveRideView.of(live))


@Route(
    blueprint,
    "POST",
    "/v1/rides/<ride_id>/cancel",
    policy=policy.RIDES_WRITE,
    sends=("ETag",),
    answers={200: RideView},
)
def cancel_ride(ride_id: str, body: Cancelation) -> Response:
    """Cancel a ride that is not yet in progress; repeating it changes nothing."""
    deps = dependencies()
    ride = rides.cancel_ride(deps.ports, ride_id, caller().subject, body.reason, deps.now())
    return answer(200, ride_view(ride), {"ETag": entity_tag(ride.version)})


@Route(
    blueprint,
    "POST",
    "/v1/rides/<ride_id>/rating",
    policy=policy.RIDES_WRITE,
    sends=("ETag",),
    answers={200: RideView},
)
def rate_ride(ride_id: str, body: RideRating) -> Response:
    """Rate a completed ride; a second rating replaces the first."""
    deps, rating = dependencies(), Rating(body.stars, body.comment)
    ride = rides.rate_ride(deps.ports, ride_id, caller().subject, rating, deps.now())
    return answer(200, ride_view(ride), {"ETag": entity_tag(ride.version)})


def _order(body: RideRequest) -> RideOrder:
    return RideOrder(
        rider_id=caller().subject,
        pickup=body.pickup.location(),
        dropoff=body.dropoff.location() if body.dropoff else None,
        note=body.note,
        idempotency_key=headers.idempotency_key(),
        request_id=request_id(),
    )


def _is_news(ride: Ride) -> bool:
    """Whether a waiting client needs an answer.

    If the client named a version: the ride has ended, or it has another version. If the client
    named none: the ride no longer waits for a unicorn.
    """
    if headers.if_none_match_given():
        return ride.is_terminal or not headers.not_modified(ride.version)
    return is_settled(ride)


def _accepted(ride: Ride, replayed: bool, applied: dict[str, str]) -> Response:
    extra = {
        "Location": link(dependencies().settings.public_url, f"/v1/rides/{ride.ride_id}"),
        "ETag": entity_tag(ride.version),
        **applied,
    }
    if replayed:
        extra["Idempotency-Replayed"] = "true"
    if ride.matched_at is not None:
        return answer(201, ride_view(ride), extra)
    return answer(202, ride_view(ride), {**extra, "Retry-After": "1"})
