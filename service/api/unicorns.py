"""Routes of unicorns: see what there is to do, say where one is, move a ride along."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Self

from flask import Blueprint, Response
from pydantic import Field, model_validator

from service.api.fields import Instant, Latitude, Longitude, Point, Strict, UnicornId
from service.api.views import (
    DrivenRideView,
    MyUnicornView,
    PositionsNoted,
    RefusedPosition,
    UnicornView,
    driven_ride_view,
    unicorn_view,
)
from service.auth import policy
from service.core import positions, unicorns
from service.core.positions import Report
from service.core.transition import stored_unicorn
from service.core.unicorns import Step
from service.http import headers
from service.http.context import caller, dependencies
from service.http.gate import granted_wait, wait_for_unicorn
from service.http.guard import judge_again
from service.http.problems import invalid
from service.http.responses import answer, empty, entity_tag
from service.http.route import route
from service.logs import add_log_context
from service.model import Location, Position, Unicorn

blueprint: Final = Blueprint("fleet", __name__)

BULK_LIMIT: Final = 128 * 1024
"""Bytes of a body with positions of many unicorns."""


class PositionReport(Point):
    """Where a unicorn is: heading in degrees from north, speed in metres per second."""

    heading: Annotated[float, Field(ge=0, le=360)] | None = None
    speed: Annotated[float, Field(ge=0, le=1000)] | None = None
    recorded_at: Instant | None = None

    def position(self, now: datetime) -> Position:
        """As a position; recorded now unless the report says when."""
        return Position(self.location(), self.recorded_at or now, self.heading, self.speed)


class NamedPositionReport(PositionReport):
    """Where the unicorn of this id is."""

    unicorn_id: UnicornId


class PositionReports(Strict):
    """Where many unicorns are."""

    positions: Annotated[list[NamedPositionReport], Field(max_length=500)]


class StepTaken(Strict):
    """Where the unicorn is as it takes the step, if it says so: both degrees or none."""

    latitude: Latitude | None = None
    longitude: Longitude | None = None
    recorded_at: Instant | None = None

    @model_validator(mode="after")
    def _is_a_place(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("must have both latitude and longitude, or none of them")
        return self

    def position(self, now: datetime) -> Position | None:
        """None if the unicorn does not say."""
        if self.latitude is None or self.longitude is None:
            return None
        return Position(Location(self.latitude, self.longitude), self.recorded_at or now)


class Availability(Strict):
    """On duty or off."""

    available: bool


@route(
    blueprint,
    "GET",
    "/v1/fleet/me",
    policy=policy.FLEET_DRIVE,
    headers=("If-None-Match", "Prefer"),
    answers={200: MyUnicornView, 304: None},
)
def show_me() -> Response:
    """The caller's unicorn and its ride; waits for news of them if asked to."""
    deps, wait = dependencies(), granted_wait()
    unicorn = stored_unicorn(deps.ports, _my_id())
    if wait and not _is_news(unicorn):
        unicorn = wait_for_unicorn(unicorn, _is_news, wait)
        judge_again()
    about = {"ETag": entity_tag(unicorn.version), **headers.wait_applied(wait)}
    if headers.not_modified(unicorn.version):
        return empty(304, about)
    ride = unicorns.ride_of(deps.ports, unicorn, deps.now())
    view = MyUnicornView(unicorn=_shown(unicorn), ride=ride and driven_ride_view(ride))
    return answer(200, view, about)


@route(
    blueprint,
    "PUT",
    "/v1/fleet/me/position",
    policy=policy.FLEET_DRIVE,
    body=PositionReport,
    answers={204: None},
)
def report_position(body: PositionReport) -> Response:
    """Say where the unicorn is; an older position than the last is ignored."""
    deps = dependencies()
    now = deps.now()
    position = body.position(now)
    if positions.is_in_the_future(position, now):
        raise invalid("recorded_at", "is in the future")
    unicorn = positions.record_position(deps.ports, _my_id(), position, now)
    return empty(204, {"ETag": entity_tag(unicorn.version)})


@route(
    blueprint,
    "POST",
    "/v1/fleet/positions",
    policy=policy.FLEET_TELEMETRY,
    body=PositionReports,
    body_limit=BULK_LIMIT,
    answers={200: PositionsNoted},
)
def report_positions(body: PositionReports) -> Response:
    """Say where many unicorns are; what cannot be true is rejected one by one."""
    deps = dependencies()
    now = deps.now()
    reports = [Report(each.unicorn_id, each.position(now)) for each in body.positions]
    refused = positions.record_positions(deps.ports, reports, now)
    rejected = [RefusedPosition(unicorn_id=r.unicorn_id, reason=why) for r, why in refused]
    return answer(200, PositionsNoted(accepted=len(reports) - len(refused), rejected=rejected))


@route(
    blueprint,
    "PUT",
    "/v1/fleet/me/availability",
    policy=policy.FLEET_DRIVE,
    body=Availability,
    answers={200: UnicornView},
)
def set_availability(body: Availability) -> Response:
    """Go on or off duty; a ride under way is finished first."""
    deps = dependencies()
    unicorn = unicorns.set_availability(deps.ports, _my_id(), body.available, deps.now())
    return answer(200, _shown(unicorn), {"ETag": entity_tag(unicorn.version)})


@route(
    blueprint,
    "POST",
    "/v1/fleet/me/rides/<ride_id>/<any(accept,decline,arrive,start,complete):step>",
    policy=policy.FLEET_DRIVE,
    body=StepTaken,
    answers={200: DrivenRideView},
)
def advance_ride(ride_id: str, step: str, body: StepTaken) -> Response:
    """Take the next step of the unicorn's ride; repeating the last one changes nothing."""
    deps = dependencies()
    add_log_context(ride_id=ride_id)
    now = deps.now()
    ride = unicorns.advance(deps.ports, Step(step), _my_id(), ride_id, now, body.position(now))
    return answer(200, driven_ride_view(ride), {"ETag": entity_tag(ride.version)})


def _my_id() -> str:
    return unicorns.unicorn_of(dependencies().ports, caller().subject)


def _shown(unicorn: Unicorn) -> UnicornView:
    deps = dependencies()
    return unicorn_view(unicorns.view(deps.ports, unicorn, deps.now()))


def _is_news(unicorn: Unicorn) -> bool:
    """What a waiting unicorn has not seen: another version than it named, else a ride."""
    if headers.if_none_match_given():
        return not headers.not_modified(unicorn.version)
    return unicorn.ride_id is not None
