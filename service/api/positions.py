"""Routes that record positions: of the caller's unicorn, or of many at once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from flask import Blueprint, Response
from pydantic import Field, SkipValidation, ValidationError

from service.api.fields import Heading, Instant, Point, Speed, Strict, UnicornId
from service.api.unicorn_views import PositionIgnored, PositionsNoted, RejectedPosition, unicorn_tag
from service.auth import policy
from service.core import positions, unicorns
from service.core.positions import Report
from service.http.context import caller, dependencies
from service.http.responses import answer, empty
from service.http.route import Route, is_id
from service.model import Position

blueprint: Final = Blueprint("positions", __name__)

BULK_LIMIT: Final = 128 * 1024
"""The largest body, in bytes, with positions of many unicorns."""


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
    """Positions of many unicorns. Each entry is validated alone, so a bad one spoils no other."""

    positions: Annotated[list[SkipValidation[NamedPositionReport]], Field(max_length=500)]


@Route(
    blueprint,
    "PUT",
    "/v1/fleet/me/position",
    policy=policy.FLEET_DRIVE,
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
    if noted.ignored:
        return answer(200, PositionIgnored(ignored=noted.ignored, server_time=now))
    return empty(204, unicorn_tag(noted.unicorn, noted.ride_version, noted.advice, noted.trouble))


@Route(
    blueprint,
    "POST",
    "/v1/fleet/positions",
    policy=policy.FLEET_TELEMETRY,
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
    rejected = [entry for entry in entries if isinstance(entry, RejectedPosition)]
    rejected += [
        RejectedPosition(index=index, unicorn_id=report.unicorn_id, reason=problem)
        for (index, report), problem in zip(readable, problems, strict=True)
        if problem
    ]
    rejected.sort(key=lambda entry: entry.index)
    return answer(200, PositionsNoted(accepted=len(entries) - len(rejected), rejected=rejected))


def _entry_of(index: int, raw: object) -> NamedPositionReport | RejectedPosition:
    """An entry of a bulk report, or its rejection; other entries are not affected."""
    try:
        return NamedPositionReport.model_validate(raw)
    except ValidationError:
        name = raw.get("unicorn_id") if isinstance(raw, dict) else None
        unicorn_id = name if isinstance(name, str) and is_id(name) else None
        return RejectedPosition(index=index, unicorn_id=unicorn_id, reason="validation_failed")
