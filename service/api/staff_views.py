"""Views for staff: map, timelines, audit entries, statistics."""

from __future__ import annotations

from service.api.views import Instant, LocationView, View
from service.core.statistics import LastHour, Tally
from service.model import STATUS_AFTER, Ride, RideStatus, RideStep, UnicornState, steps_of


class RideStepView(View):
    """A step of a ride with its cause, and the status and version after it.

    `unicorn_id`: the unicorn that got or lost the ride.
    """

    version: int
    at: Instant
    step: RideStep
    status: RideStatus
    unicorn_id: str | None


class TimelineView(View):
    """The steps of a ride, oldest first.

    The request and the latest steps are kept. `left_out`: the number of steps between them.
    """

    ride_id: str
    left_out: int
    steps: list[RideStepView]


class MapUnicornView(View):
    """A unicorn on the map, with its last noted state and its last position."""

    unicorn_id: str
    name: str
    color: str
    version: int
    state: UnicornState
    accepting: bool
    ride_id: str | None
    location: LocationView
    heading: float | None
    position_at: Instant


class WaitingRideView(View):
    """A ride that is waiting for a unicorn, with the plan for it if there is one."""

    ride_id: str
    version: int
    zone: str
    pickup: LocationView
    dropoff: LocationView | None
    requested_at: Instant
    deadline_at: Instant
    planned_unicorn_id: str | None
    planned_pickup_eta_seconds: int | None


class WaitingRideListView(View):
    rides: list[WaitingRideView]
    next_cursor: str | None


class MapView(View):
    """The map. `truncated`: there are more entries than a map shows."""

    as_of: Instant
    event_id: str
    truncated: bool
    unicorns: list[MapUnicornView]
    waiting_rides: list[WaitingRideView]


class MapChangesView(View):
    """New and changed entries of the map in full, and the ids of removed ones."""

    as_of: Instant
    unicorns: list[MapUnicornView]
    gone_unicorns: list[str]
    waiting_rides: list[WaitingRideView]
    gone_rides: list[str]


class _TallyView(View):
    """Seconds are from the request of a ride to its match; a value without data is null."""

    matches: int
    time_to_match_mean_seconds: float | None
    time_to_match_p50_seconds: float | None
    time_to_match_p90_seconds: float | None
    busy_share: float | None


class MinuteView(_TallyView):
    """Statistics of a minute. `busy`: unicorns with a ride; `on_duty`: busy or available ones."""

    at: Instant
    busy: int | None
    on_duty: int | None


class StatisticsView(_TallyView):
    """Statistics of the last hour, and of its minutes, oldest first. The last minute is running."""

    since: Instant
    minutes: list[MinuteView]


class AuditEntryView(View):
    """A change that a member of staff made or tried. `subjects`: what was changed, as ids by their
    kind."""

    audit_id: str
    at: Instant
    action: str
    sub: str | None
    client_id: str | None
    request_id: str
    method: str
    route: str | None
    subjects: dict[str, str]


class AuditListView(View):
    entries: list[AuditEntryView]
    next_cursor: str | None


def timeline_view(ride: Ride) -> TimelineView:
    steps = steps_of(ride.timeline, ride.requested_at)
    views = [RideStepView.of(each, status=STATUS_AFTER[each.step]) for each in steps]
    # Each step is one version more, so a gap in versions counts the steps that were dropped.
    next_kept = steps[1].version if len(steps) > 1 else ride.version + 1
    return TimelineView(ride_id=ride.ride_id, left_out=next_kept - 2, steps=views)


def statistics_view(hour: LastHour) -> StatisticsView:
    minutes = [MinuteView.of(tally, at=at, **_shown(tally)) for at, tally in hour.minutes.items()]
    since = next(iter(hour.minutes))
    return StatisticsView.of(hour.total, since=since, minutes=minutes, **_shown(hour.total))


def _shown(tally: Tally) -> dict[str, float | None]:
    values = {
        "time_to_match_mean_seconds": tally.mean_seconds,
        "time_to_match_p50_seconds": tally.quantile_seconds(0.5),
        "time_to_match_p90_seconds": tally.quantile_seconds(0.9),
        "busy_share": tally.busy_share,
    }
    return {name: value and round(value, 3) for name, value in values.items()}
