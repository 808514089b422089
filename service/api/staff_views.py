"""What staff is shown of the city and of what happened: map, timelines, audit lines, statistics."""

from __future__ import annotations

from service.api.views import Instant, LocationView, View
from service.core.statistics import LastHour, Tally
from service.model import STATUS_AFTER, Ride, RideStatus, RideStep, UnicornState, steps_of
from service.model.operations import AuditEntry


class RideStepView(View):
    """What happened to a ride (with its cause), and the state and version that it led to.

    `unicorn_id`: who was given the ride, or lost it.
    """

    version: int
    at: Instant
    step: RideStep
    status: RideStatus
    unicorn_id: str | None


class TimelineView(View):
    """What happened to a ride, oldest first.

    The request and the latest steps are kept; `left_out` steps between them are not.
    """

    ride_id: str
    left_out: int
    steps: list[RideStepView]


class MapUnicornView(View):
    """A unicorn on the map: its state as last noted, where it last was."""

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
    """A ride that waits for a unicorn, and the plan for it if there is one."""

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
    """What is on the map; `truncated`: there is more than a map shows."""

    as_of: Instant
    event_id: str
    truncated: bool
    unicorns: list[MapUnicornView]
    waiting_rides: list[WaitingRideView]


class MapChangesView(View):
    """What is new on the map, whole, and the ids of what is no longer on it."""

    as_of: Instant
    unicorns: list[MapUnicornView]
    gone_unicorns: list[str]
    waiting_rides: list[WaitingRideView]
    gone_rides: list[str]


class _TallyView(View):
    """Seconds are from a ride's request to its unicorn; null where there is nothing to tell."""

    matches: int
    time_to_match_mean_seconds: float | None
    time_to_match_p50_seconds: float | None
    time_to_match_p90_seconds: float | None
    busy_share: float | None


class MinuteView(_TallyView):
    """A minute. `busy`: unicorns with a ride; `on_duty`: those and the available ones."""

    at: Instant
    busy: int | None
    on_duty: int | None


class StatisticsView(_TallyView):
    """The last hour as a whole, and its minutes, oldest first, the running one last."""

    since: Instant
    minutes: list[MinuteView]


class AuditEntryView(View):
    """What a member of staff changed; `subjects` are ids and values by their kind."""

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


def audit_entry_view(entry: AuditEntry) -> AuditEntryView:
    return AuditEntryView.model_validate(entry)


def timeline_view(ride: Ride) -> TimelineView:
    steps = steps_of(ride.timeline, ride.requested_at)
    views = [RideStepView.of(each, status=STATUS_AFTER[each.step]) for each in steps]
    # Versions are counted by one: a gap tells of steps that the row no longer has.
    left_out = steps[1].version - 2 if len(steps) > 1 else 0
    return TimelineView(ride_id=ride.ride_id, left_out=left_out, steps=views)


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
