"""Routes of unicorns: show the current ride, report positions, carry out a ride."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated, Final, Literal, Self

from flask import Blueprint, Response
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    ValidationError,
    model_validator,
)

from service.api.fields import (
    Instant,
    Latitude,
    Longitude,
    Point,
    Strict,
    UnicornId,
    left_out,
)
from service.api.unicorn_views import (
    MyUnicornView,
    PositionIgnored,
    PositionsNoted,
    RefusedPosition,
    UnicornView,
    advice_view,
    unicorn_view,
)
from service.api.views import DrivenRideView, driven_ride_view
from service.auth import policy
from service.core import positions, unicorns
from service.core.positions import Report
from service.core.transition import stored_unicorn
from service.core.unicorns import Duty, Step
from service.http import headers
from service.http.context import caller, dependencies
from service.http.gate import granted_wait, wait_for_duty
from service.http.guard import judge_again
from service.http.responses import answer, empty, entity_tag, weak_tag
from service.http.route import is_id, route
from service.logs import add_log_context
from service.model import Advice, Location, Position, Unicorn

blueprint: Final = Blueprint("fleet", __name__)

BULK_LIMIT: Final = 128 * 1024
"""The largest body, in bytes, with positions of many unicorns."""


def _none_if_unknown(value: object) -> object:
    return None if isinstance(value, int | float) and value == -1 else value


_Degrees = Annotated[float, Field(ge=0, le=360)]
_MetresPerSecond = Annotated[float, Field(ge=0, le=1000)]
_UNKNOWN = Literal[-1]
"""Sent by phones for an unknown heading or speed (Apple, CLLocation)."""

Heading = Annotated[
    _Degrees | None,
    BeforeValidator(_none_if_unknown, json_schema_input_type=_Degrees | _UNKNOWN | None),
]
Speed = Annotated[
    _MetresPerSecond | None,
    BeforeValidator(_none_if_unknown, json_schema_input_type=_MetresPerSecond | _UNKNOWN | None),
]


class PositionReport(Point):
    """A unicorn's position. `heading`: degrees from north; `speed`: metres per second; −1: unknown.

    `recorded_at`: when the phone took the position; by default now.
    """

    heading: Heading = None
    speed: Speed = None
    recorded_at: Instant | None = None

    def position(self, now: datetime) -> Position:
        """The position, recorded now unless the report names an instant."""
        return Position(self.location(), self.recorded_at or now, self.heading, self.speed)


class NamedPositionReport(PositionReport):
    """The position of the unicorn with this id."""

    unicorn_id: UnicornId


class PositionReports(Strict):
    """Positions of many unicorns. Each entry is validated alone, so a bad one fails no other."""

    positions: Annotated[list[SkipValidation[NamedPositionReport]], Field(max_length=500)]


class StepTaken(Strict):
    """The unicorn's position as it takes the step: a position report, or nothing."""

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


@route(
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

    The `ETag` covers both, but not the unicorn's position, which may have changed on a 304.
    """
    deps, wait = dependencies(), granted_wait()
    duty = unicorns.duty_of(deps.ports, stored_unicorn(deps.ports, _heard_unicorn()), deps.now())
    located = unicorns.view(deps.ports, duty.unicorn, deps.now())
    duty = replace(duty, advice=located.advice)
    if wait and not _is_news(duty, located.trouble, duty.advice):
        is_news = partial(_is_news, trouble=located.trouble, seen=duty.advice)
        duty = wait_for_duty(duty, is_news, wait)
        judge_again()
        located = unicorns.view(deps.ports, duty.unicorn, deps.now())
        duty = replace(duty, advice=located.advice)
    versions = _versions(duty, located.trouble)
    extra = {"ETag": weak_tag(versions), **headers.wait_applied(wait)}
    if headers.not_modified(versions):
        return empty(304, extra)
    ride = duty.ride and driven_ride_view(duty.ride)
    advice = duty.advice and advice_view(duty.advice)
    view = MyUnicornView(unicorn=unicorn_view(located), ride=ride, advice=advice)
    return answer(200, view, extra)


@route(
    blueprint,
    "PUT",
    "/v1/fleet/me/position",
    policy=policy.FLEET_DRIVE,
    body=PositionReport,
    sends=("ETag",),
    answers={200: PositionIgnored, 204: None},
)
def report_position(body: PositionReport) -> Response:
    """Report the unicorn's position; a position older than the last one is ignored.

    A position recorded too long ago or in the future is ignored too; the answer is 200 with the
    reason. The `ETag` is that of `GET /v1/fleet/me`: if it differs from the last, there is news.
    """
    deps = dependencies()
    now = deps.now()
    unicorn_id = unicorns.unicorn_id_of(deps.ports, caller().subject)
    noted = positions.record_position(deps.ports, unicorn_id, body.position(now), now)
    if noted.problem:
        return answer(200, PositionIgnored(ignored=noted.problem, server_time=now))
    return empty(204, _tag(noted.unicorn, noted.ride_version, noted.advice))


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
    """Report the positions of many unicorns; each invalid entry is rejected alone."""
    deps = dependencies()
    now = deps.now()
    entries = [_entry_of(index, each) for index, each in enumerate(body.positions)]
    readable = [
        (index, Report(entry.unicorn_id, entry.position(now)))
        for index, entry in enumerate(entries)
        if isinstance(entry, NamedPositionReport)
    ]
    problems = positions.record_positions(deps.ports, [report for _, report in readable], now)
    rejected = [entry for entry in entries if isinstance(entry, RefusedPosition)]
    rejected += [
        RefusedPosition(index=index, unicorn_id=report.unicorn_id, reason=problem)
        for (index, report), problem in zip(readable, problems, strict=True)
        if problem
    ]
    rejected.sort(key=lambda refused: refused.index)
    return answer(200, PositionsNoted(accepted=len(entries) - len(rejected), rejected=rejected))


@route(
    blueprint,
    "PUT",
    "/v1/fleet/me/availability",
    policy=policy.FLEET_DRIVE,
    body=Availability,
    sends=("ETag",),
    answers={200: UnicornView},
)
def set_availability(body: Availability) -> Response:
    """Go on duty or off duty; a ride under way is finished first."""
    deps = dependencies()
    now = deps.now()
    unicorn = unicorns.set_availability(deps.ports, _heard_unicorn(), body.available, now)
    located = unicorns.view(deps.ports, unicorn, now)
    tag = _tag(unicorn, located.ride_version, located.advice, located.trouble)
    return answer(200, unicorn_view(located), tag)


@route(
    blueprint,
    "POST",
    "/v1/fleet/me/rides/<ride_id>/<any(accept,decline,arrive,start,complete):step>",
    policy=policy.FLEET_DRIVE,
    body=StepTaken,
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
    return answer(200, driven_ride_view(ride), {"ETag": entity_tag(ride.version)})


def _heard_unicorn() -> str:
    """The id of the caller's unicorn; notes that the unicorn was heard."""
    deps = dependencies()
    return unicorns.heard_from(deps.ports, caller().subject, deps.now())


def _entry_of(index: int, raw: object) -> NamedPositionReport | RefusedPosition:
    """An entry of a bulk report, or its refusal; other entries are not affected."""
    try:
        return NamedPositionReport.model_validate(raw)
    except ValidationError:
        name = raw.get("unicorn_id") if isinstance(raw, dict) else None
        unicorn_id = name if isinstance(name, str) and is_id(name) else None
        return RefusedPosition(index=index, unicorn_id=unicorn_id, reason="validation_failed")


def _versions(duty: Duty, trouble: str) -> str:
    """The versions of unicorn and ride, the trouble and the advice, as the text of a tag."""
    return _joined(duty.unicorn.version, duty.ride_version, trouble, duty.advice)


def _joined(unicorn: int, ride: int | None, trouble: str, advice: Advice | None) -> str:
    goal = advice.cell if advice else ""
    return ".".join(str(part) for part in (unicorn, ride, trouble, goal) if part)


def _tag(
    unicorn: Unicorn | None, ride_version: int | None, advice: Advice | None, trouble: str = ""
) -> dict[str, str]:
    """The `ETag` of `GET /v1/fleet/me` from the fleet index; no header if the index lacks a part.

    The tag may lag behind the ride. Then a client may get an unchanged answer, but misses nothing.
    """
    if unicorn is None or (unicorn.ride_id and ride_version is None):
        return {}
    version = ride_version if unicorn.ride_id else None
    return {"ETag": weak_tag(_joined(unicorn.version, version, trouble, advice))}


def _is_news(duty: Duty, trouble: str, seen: Advice | None) -> bool:
    """Whether a waiting client needs an answer: other versions than it named or, if it named none,
    a ride or a goal that it did not have when it asked."""
    if headers.if_none_match_given():
        return not headers.not_modified(_versions(duty, trouble))
    is_sent = duty.advice and duty.advice.cell != (seen.cell if seen else None)
    return duty.unicorn.ride_id is not None or bool(is_sent)
