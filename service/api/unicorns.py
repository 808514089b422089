"""Routes of unicorns: show and list their rides, go on duty, carry out a ride."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final, Self

from flask import Blueprint, Response
from pydantic import ConfigDict, Field, model_validator

from service.api.fields import Heading, Instant, Latitude, Longitude, Speed, Strict, left_out
from service.api.rides import RidesQuery
from service.api.unicorn_views import (
    AdviceView,
    MyUnicornView,
    UnicornView,
    unicorn_tag,
    unicorn_versions,
    unicorn_view,
)
from service.api.views import DrivenRideListView, DrivenRideView
from service.auth import policy
from service.core import unicorns
from service.core.transition import stored_unicorn
from service.core.unicorns import Step, UnicornAndRide
from service.http import cursors, headers
from service.http.context import caller, dependencies
from service.http.gate import granted_wait, wait_for_unicorn
from service.http.guard import check_again
from service.http.responses import answer, empty, entity_tag, weak_tag
from service.http.route import Route
from service.logs import add_log_context
from service.model import Advice, Location, Position

blueprint: Final = Blueprint("unicorns", __name__)


class StepTaken(Strict):
    """Where the unicorn is as it takes the step: a position report, or nothing.

    The service judges an arrival by it, and notes the distance from the dropoff at completion. It
    does not record the position. Heading and speed are accepted and ignored, so that an app can
    send its report unchanged.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "dependentRequired": {"latitude": ["longitude"], "longitude": ["latitude"]}
        }
    )

    latitude: Latitude = Field(default_factory=left_out)
    longitude: Longitude = Field(default_factory=left_out)
    heading: Heading = None
    speed: Speed = None
    recorded_at: Instant | None = None

    @model_validator(mode="after")
    def _is_a_place(self) -> Self:
        if len(self.model_fields_set & {"latitude", "longitude"}) == 1:
            raise ValueError("must have both latitude and longitude, or neither")
        return self

    def position(self, now: datetime) -> Position | None:
        """The position; None if the body has none."""
        if "latitude" not in self.model_fields_set:
            return None
        return Position(Location(self.latitude, self.longitude), self.recorded_at or now)


class Availability(Strict):
    """Whether the unicorn is on duty."""

    available: bool


@Route(
    blueprint,
    "GET",
    "/v1/fleet/me",
    policy=policy.FLEET_DRIVE,
    headers=("If-None-Match", "Prefer"),
    sends=("ETag", "Preference-Applied"),
    answers={200: MyUnicornView, 304: None},
)
def show_me() -> Response:
    """Show the caller's unicorn and its ride; with `Prefer: wait`, wait until they change.

    The `ETag` covers both and the place of the advice, but not the unicorn's position nor the end
    of the advice, which may differ after a 304: the advice holds as long as the answer is 304.
    """
    deps = dependencies()
    both = unicorns.with_ride(deps.ports, stored_unicorn(deps.ports, _heard_unicorn()), deps.now())
    located = unicorns.view(deps.ports, both.unicorn, deps.now())
    both = replace(both, advice=located.advice)
    wait = _granted_wait()
    if wait and not _is_news(both, located.trouble, both.advice):
        is_news = partial(_is_news, trouble=located.trouble, seen=both.advice)
        both = wait_for_unicorn(both, is_news, wait)
        check_again()
        located = unicorns.view(deps.ports, both.unicorn, deps.now())
        both = replace(both, advice=located.advice)
    versions = _versions(both, located.trouble)
    extra = {"ETag": weak_tag(versions), **headers.wait_applied(wait)}
    if headers.not_modified(versions):
        return empty(304, extra)
    ride = both.ride and DrivenRideView.of(both.ride)
    advice = both.advice and AdviceView.of(both.advice)
    view = MyUnicornView(unicorn=unicorn_view(located), ride=ride, advice=advice)
    return answer(200, view, extra)


@Route(
    blueprint,
    "PUT",
    "/v1/fleet/me/availability",
    policy=policy.FLEET_DRIVE,
    sends=("ETag",),
    answers={200: UnicornView},
)
def set_availability(body: Availability) -> Response:
    """Go on duty or off duty; a ride under way is finished first."""
    deps = dependencies()
    now = deps.now()
    unicorn = unicorns.set_availability(deps.ports, _heard_unicorn(), body.available, now)
    located = unicorns.view(deps.ports, unicorn, now)
    tag = unicorn_tag(unicorn, located.ride_version, located.advice, located.trouble)
    return answer(200, unicorn_view(located), tag)


@Route(
    blueprint,
    "POST",
    "/v1/fleet/me/rides/<ride_id>/<any(accept,decline,arrive,start,complete):step>",
    policy=policy.FLEET_DRIVE,
    sends=("ETag",),
    answers={200: DrivenRideView},
)
def advance_ride(ride_id: str, step: str, body: StepTaken) -> Response:
    """Take the next step of the unicorn's ride; repeating the last step changes nothing."""
    deps = dependencies()
    add_log_context(ride_id=ride_id)
    now = deps.now()
    ride = unicorns.advance(
        deps.ports, Step(step), _heard_unicorn(), ride_id, now, body.position(now)
    )
    return answer(200, DrivenRideView.of(ride), {"ETag": entity_tag(ride.version)})


@Route(
    blueprint,
    "GET",
    "/v1/fleet/me/rides",
    policy=policy.FLEET_DRIVE,
    answers={200: DrivenRideListView},
)
def list_driven_rides(query: RidesQuery) -> Response:
    """List the rides of the caller's unicorn: those it had at their end, and its present one,
    newest first.

    With a `status` a page may hold fewer rides than `limit` although more follow.
    """
    rides_of = dependencies().ports.rides.list_of_unicorn
    page, next_cursor = cursors.read_page(
        cursors.DRIVEN_RIDES,
        query.cursor,
        partial(rides_of, _heard_unicorn(), status=query.status, limit=query.limit),
    )
    return answer(200, DrivenRideListView.of(rides=page, next_cursor=next_cursor))


def _heard_unicorn() -> str:
    """The id of the caller's unicorn; notes that the unicorn was heard."""
    deps = dependencies()
    return unicorns.record_call(deps.ports, caller().subject, deps.now())


def _granted_wait() -> int | None:
    """`granted_wait`, cut so that the driver calls again before its unicorn counts as silent."""
    wait, stale_seconds = granted_wait(), dependencies().settings.unicorn_stale_seconds
    return None if wait is None else min(wait, stale_seconds // 2)


def _versions(both: UnicornAndRide, trouble: str) -> str:
    return unicorn_versions(both.unicorn.version, both.ride_version, trouble, both.advice)


def _is_news(both: UnicornAndRide, trouble: str, seen: Advice | None) -> bool:
    """Whether a waiting client needs an answer.

    If the client named versions, it needs one when the present versions differ. Otherwise it needs
    one when its unicorn has a ride, or a goal other than the one at the beginning of the wait.
    """
    if headers.if_none_match_given():
        return not headers.not_modified(_versions(both, trouble))
    is_sent = both.advice and both.advice.cell != (seen.cell if seen else None)
    return both.unicorn.ride_id is not None or bool(is_sent)
