"""The two routes of the workshop's page (aws-serverless-workshops), with its field names.

The policies of these routes also accept tokens without a scheme, as the page sends them. `POST`
accepts ID tokens too, if that is switched on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Response
from pydantic import Field
from pydantic_core import to_json

from service.api.fields import Latitude, Longitude, Strict
from service.api.views import Instant, View
from service.auth import policy
from service.core import rides
from service.core.rides import RideOrder, is_settled
from service.http.context import caller, dependencies, request_id
from service.http.gate import gate, wait_for_ride
from service.http.guard import is_still_admitted
from service.http.problems import RETRY_SOON
from service.http.responses import JSON_TYPE, answer
from service.http.route import Route
from service.logs import add_log_context
from service.model import AssignedUnicorn, Location, Ride

blueprint: Final = Blueprint("workshop", __name__)

WAIT_SECONDS: Final = 10
"""How long a request waits for a unicorn: the page cannot show a waiting ride."""

LISTED: Final = 100
"""The number of newest rides that are searched."""


class WorkshopPoint(Strict):
    """A point in WGS-84 degrees."""

    latitude: Latitude = Field(alias="Latitude")
    longitude: Longitude = Field(alias="Longitude")


class WorkshopRequest(Strict):
    """The place where the rider wants to be picked up."""

    pickup: WorkshopPoint = Field(alias="PickupLocation")


class WorkshopUnicorn(View):
    Name: str = Field(validation_alias="name")
    Color: str = Field(validation_alias="color")
    Gender: str = Field(validation_alias="gender")


class WorkshopRide(View):
    RideId: str
    Unicorn: WorkshopUnicorn
    UnicornName: str
    Eta: int
    Rider: str


class WorkshopError(View):
    Error: str
    Reference: str


class WorkshopListedRide(View):
    RideId: str
    RequestTime: Instant
    Unicorn: WorkshopUnicorn
    UnicornName: str
    User: str


@Route(
    blueprint,
    "POST",
    "/ride",
    policy=policy.WORKSHOP_REQUEST,
    answers={201: WorkshopRide, 503: WorkshopError},
)
def request_workshop_ride(body: WorkshopRequest) -> Response:
    """Request a ride and wait for its unicorn; if none is found, the ride is canceled."""
    deps, subject = dependencies(), caller().subject
    if not gate().has_room_to_wait(subject):
        return _without_unicorn()
    pickup = Location(body.pickup.latitude, body.pickup.longitude)
    order = RideOrder(rider_id=subject, pickup=pickup, request_id=request_id())
    ride, _ = rides.request_ride(deps.ports, order, deps.now())
    add_log_context(ride_id=ride.ride_id)
    # Other requests may have taken the room to wait since the first check.
    if gate().has_room_to_wait(subject):
        ride = wait_for_ride(ride, is_settled, WAIT_SECONDS)
    is_admitted = is_still_admitted()
    if not (is_admitted and is_settled(ride)):
        # If only the time is up, a ride that is matched meanwhile stays. If the token has ended,
        # the ride is canceled even if it is matched, because the page may not see its unicorn.
        reason = "no unicorn in time" if is_admitted else "the token ended"
        ride = rides.cancel_ride(
            deps.ports, ride.ride_id, subject, reason, deps.now(), keep_settled=is_admitted
        )
    if not is_admitted or ride.matched_at is None or ride.unicorn is None:
        return _without_unicorn()
    return answer(201, _requested_view(ride, ride.unicorn))


@Route(
    blueprint, "GET", "/ride", policy=policy.WORKSHOP_RIDES, answers={200: list[WorkshopListedRide]}
)
def list_workshop_rides() -> Response:
    """List the caller's newest rides that have a unicorn.

    With the scope `UnicornManager/unicorn`: the newest rides of the unicorn that the caller drives.
    """
    if policy.UNICORN_MANAGER_SCOPE in caller().scopes:
        views = [_listed_view(ride, ride.rider_id) for ride in _rides_of_own_unicorn()]
    else:
        page = dependencies().ports.rides.list_of_rider(
            caller().subject, status=None, limit=LISTED, start=None
        )
        views = [_listed_view(ride, _user()) for ride in page.items]
    # A bare array, as the page expects it.
    return Response(to_json([view for view in views if view]), content_type=JSON_TYPE)


def _rides_of_own_unicorn() -> Sequence[Ride]:
    """The newest rides of the caller's unicorn; empty if the caller has none."""
    ports = dependencies().ports
    unicorn_id = ports.unicorns.of_account(caller().subject)
    if unicorn_id is None:
        return ()
    return ports.rides.list_of_unicorn(unicorn_id, status=None, limit=LISTED, start=None).items


def _without_unicorn() -> Response:
    error = WorkshopError(Error="No unicorn is available.", Reference=request_id())
    return answer(503, error, RETRY_SOON)


def _requested_view(ride: Ride, unicorn: AssignedUnicorn) -> WorkshopRide:
    return WorkshopRide(
        RideId=ride.ride_id,
        Unicorn=WorkshopUnicorn.of(unicorn),
        UnicornName=unicorn.name,
        Eta=ride.pickup_eta_seconds or 0,
        Rider=_user(),
    )


def _listed_view(ride: Ride, user: str) -> WorkshopListedRide | None:
    """The view of a ride; None if it has no unicorn or was only offered to one."""
    if ride.matched_at is None or ride.unicorn is None:
        return None
    return WorkshopListedRide(
        RideId=ride.ride_id,
        RequestTime=ride.requested_at,
        Unicorn=WorkshopUnicorn.of(ride.unicorn),
        UnicornName=ride.unicorn.name,
        User=user,
    )


def _user() -> str:
    return caller().username or caller().subject
