"""Views of unicorns: as their drivers, riders near them and staff see them."""

from __future__ import annotations

from typing import Literal

from service.api.views import DrivenRideView, Instant, LocationView, PlacedView, View
from service.core.unicorns import LocatedUnicorn
from service.http.responses import weak_tag
from service.model import Advice, AdviceReason, PositionProblem, Unicorn, UnicornState


class UnicornView(View):
    """A unicorn as its driver and staff see it; `location` is its last position, if fresh."""

    unicorn_id: str
    version: int
    account_sub: str | None
    name: str
    color: str
    gender: str
    auto_accept: bool
    state: UnicornState
    accepting: bool
    location: LocationView | None
    position_at: Instant | None
    position_problem: PositionProblem | None
    ride_id: str | None


class UnicornListView(View):
    unicorns: list[UnicornView]
    next_cursor: str | None


class AdviceView(PlacedView):
    """Where an idle unicorn should wait, until when that holds, and why."""

    reason: AdviceReason
    expires_at: Instant


class NamedAdviceView(AdviceView):
    """Where the unicorn of this id should wait."""

    unicorn_id: str


class AdviceListView(View):
    advice: list[NamedAdviceView]


class MyUnicornView(View):
    """A unicorn and its ride, as its driver sees them.

    `advice`: where the unicorn should wait, if it is idle and should wait elsewhere.
    """

    unicorn: UnicornView
    ride: DrivenRideView | None
    advice: AdviceView | None


class PositionIgnored(View):
    """A report that was ignored, and why; compare `server_time` with your own clock."""

    ignored: PositionProblem
    server_time: Instant


class RejectedPosition(View):
    """An entry that was rejected, and why; `unicorn_id` is null if the entry has no valid one."""

    index: int
    unicorn_id: str | None
    reason: PositionProblem | Literal["validation_failed"]


class PositionsNoted(View):
    """The number of accepted positions, and the rejected entries by their index in the body."""

    accepted: int
    rejected: list[RejectedPosition]


class EstimateView(View):
    pickup_eta_seconds: int | None
    pickup_eta_latest_seconds: int | None
    trip_seconds: int | None
    trip_latest_seconds: int | None
    trip_metres: int | None
    available_nearby: int


class NearbyUnicornView(View):
    name: str
    color: str
    location: LocationView


class NearbyUnicornsView(View):
    unicorns: list[NearbyUnicornView]


def unicorn_view(located: LocatedUnicorn) -> UnicornView:
    at = located.position
    return UnicornView.of(
        located.unicorn,
        location=at and at.location,
        position_at=at and at.recorded_at,
        position_problem=located.position_problem,
    )


def unicorn_versions(unicorn: int, ride: int | None, trouble: str, advice: Advice | None) -> str:
    """The versions of a unicorn and its ride, its trouble and its goal: the text of its tag."""
    goal = advice.cell if advice else ""
    return ".".join(str(part) for part in (unicorn, ride, trouble, goal) if part)


def unicorn_tag(
    unicorn: Unicorn | None, ride_version: int | None, advice: Advice | None, trouble: str = ""
) -> dict[str, str]:
    """The `ETag` of `GET /v1/fleet/me` from the fleet index; no header if the index lacks a part.

    The tag may be older than the ride. A client that sends such a tag misses no change, but may get
    an answer that it already has.
    """
    if unicorn is None or (unicorn.ride_id and ride_version is None):
        return {}
    version = ride_version if unicorn.ride_id else None
    return {"ETag": weak_tag(unicorn_versions(unicorn.version, version, trouble, advice))}
