"""Views: the answers of the API, field by field, made from the attributes of the things they show.

The OpenAPI document is derived from these classes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.json_schema import WithJsonSchema

from service.core.reconcile import Mended
from service.core.unicorns import LocatedUnicorn
from service.core.watch import LiveView
from service.model import (
    Advice,
    AdviceReason,
    CanceledBy,
    Page,
    PositionProblem,
    Ride,
    RideStatus,
    UnicornState,
    Weight,
)
from service.model.operations import (
    Beat,
    DeadLetter,
    DeadLetterKind,
    Pause,
    QueueLength,
    WorkerState,
)
from service.stores.broker import DISPATCH_QUEUE


def instant_text(at: datetime) -> str:
    """An instant in RFC 3339 format: UTC, with milliseconds."""
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


Instant = Annotated[
    datetime,
    PlainSerializer(instant_text),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, source: object, **others: object) -> Self:
        """The view of `source`, with its attributes; values in `others` replace them."""
        names = cls.model_fields.keys() - others.keys()
        return cls.model_validate({name: getattr(source, name) for name in names} | others)


class LocationView(View):
    latitude: float
    longitude: float


class PositionView(LocationView):
    heading: float | None
    recorded_at: Instant


class AssignedUnicornView(View):
    unicorn_id: str
    name: str
    color: str
    gender: str
    location: LocationView


class RatingView(View):
    stars: int
    comment: str | None


class _AnyonesRideView(View):
    """The fields of a ride that both riders and unicorns see."""

    ride_id: str
    status: RideStatus
    version: int
    pickup: LocationView
    dropoff: LocationView | None
    note: str | None
    unicorn: AssignedUnicornView | None
    pickup_eta_seconds: int | None
    pickup_eta_latest_seconds: int | None
    pickup_distance_metres: int | None
    requested_at: Instant
    matched_at: Instant | None
    arrived_at: Instant | None
    started_at: Instant | None
    completed_at: Instant | None
    canceled_at: Instant | None
    canceled_by: CanceledBy | None
    cancel_reason: str | None
    rating: RatingView | None


class DrivenRideView(_AnyonesRideView):
    """A ride as its unicorn sees it: without the rider's id, with the end of an open offer."""

    offer_ends_at: Instant | None


class RideView(_AnyonesRideView):
    """A ride as its rider sees it."""

    rider_id: str


class StaffRideView(RideView):
    """A ride as staff sees it, with the unicorn's distance when it reported arrival and completion.

    `attention`: `not_coming` while its unicorn does not come and no other has the ride.
    """

    attention: Literal["not_coming"] | None
    arrived_distance_metres: int | None
    completed_distance_metres: int | None


class StaffRideListView(View):
    rides: list[StaffRideView]
    next_cursor: str | None


class RideListView(View):
    rides: list[RideView]
    next_cursor: str | None


class DrivenRideListView(View):
    rides: list[DrivenRideView]
    next_cursor: str | None


class LiveRideView(View):
    """The part of a ride that changes without a new version: the unicorn's position and ETAs."""

    status: RideStatus
    version: int
    location: PositionView | None
    pickup_eta_seconds: int | None
    pickup_eta_latest_seconds: int | None
    planned_pickup_eta_seconds: int | None


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


class AdviceView(LocationView):
    """Where an idle unicorn should wait, until when that holds, and why."""

    reason: AdviceReason
    expires_at: Instant


class NamedAdviceView(AdviceView):
    """Where the unicorn of this id should wait."""

    unicorn_id: str


class AdviceListView(View):
    advice: list[NamedAdviceView]


class MyUnicornView(View):
    """A unicorn as it sees itself; `advice` only while it is idle and should wait elsewhere."""

    unicorn: UnicornView
    ride: DrivenRideView | None
    advice: AdviceView | None


class PositionIgnored(View):
    """A report that was ignored, and why; compare `server_time` with your own clock."""

    ignored: PositionProblem
    server_time: Instant


class RefusedPosition(View):
    """An entry that was rejected, and why; `unicorn_id` is null if the entry has no valid one."""

    index: int
    unicorn_id: str | None
    reason: PositionProblem | Literal["validation_failed"]


class PositionsNoted(View):
    """The number of accepted positions, and the rejected entries by their index in the body."""

    accepted: int
    rejected: list[RefusedPosition]


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


class WorkerView(View):
    worker_id: str
    state: WorkerState
    host: str
    pid: int
    version: str
    started_at: Instant
    last_beat: Instant
    active: int
    done: int
    failed: int
    memory_bytes: int


class WorkerListView(View):
    workers: list[WorkerView]
    next_cursor: str | None


class QueueView(View):
    name: str
    ready: int
    unacked: int
    oldest_waiting_seconds: float | None


class QueueListView(View):
    queues: list[QueueView]
    next_cursor: str | None


class DeadLetterView(View):
    dead_letter_id: str
    kind: DeadLetterKind
    cause: str
    set_aside_at: Instant
    replayed_at: Instant | None
    ride_id: str | None
    zone: str | None
    excerpt: str | None


class DeadLetterListView(View):
    dead_letters: list[DeadLetterView]
    next_cursor: str | None


class RepairView(View):
    what: Mended
    ride_id: str
    unicorn_id: str


class ReconciledView(View):
    """What was checked and repaired. `complete`: whether there was time for everything."""

    unicorns: int
    rides: int
    repairs: list[RepairView]
    complete: bool


class DispatchView(View):
    """Whether dispatch is paused everywhere, and the zones that are paused by themselves.

    `repositioning`: how strongly idle unicorns are sent to where riders will be, except in zones
    with a weight of their own.
    """

    paused: bool
    zones: list[str]
    repositioning: Weight
    repositioning_by_zone: dict[str, Weight]


def ride_view(ride: Ride) -> RideView:
    """A ride as its rider sees it: an open offer to a unicorn is not shown."""
    return RideView.model_validate(_without_offer(ride))


def staff_ride_view(ride: Ride) -> StaffRideView:
    return StaffRideView.model_validate(_without_offer(ride))


def _without_offer(ride: Ride) -> Ride:
    if ride.matched_at is None:
        ride = replace(
            ride,
            unicorn=None,
            pickup_eta_seconds=None,
            pickup_eta_latest_seconds=None,
            pickup_distance_metres=None,
        )
    return ride


def driven_ride_view(ride: Ride) -> DrivenRideView:
    return DrivenRideView.model_validate(ride)


def ride_list_view(page: Page[Ride], next_cursor: str | None) -> RideListView:
    return RideListView(rides=[ride_view(ride) for ride in page.items], next_cursor=next_cursor)


def live_ride_view(live: LiveView) -> LiveRideView:
    at = live.position
    return LiveRideView.of(
        live,
        location=at
        and PositionView.of(at, latitude=at.location.latitude, longitude=at.location.longitude),
    )


def unicorn_view(located: LocatedUnicorn) -> UnicornView:
    at = located.position
    return UnicornView.of(
        located.unicorn,
        location=at and at.location,
        position_at=at and at.recorded_at,
        position_problem=located.position_problem,
    )


def worker_view(beat: Beat, now: datetime) -> WorkerView:
    return WorkerView.of(beat, state=beat.state_at(now), last_beat=beat.beat_at)


def queue_view(queue: QueueLength, oldest_waiting: timedelta | None) -> QueueView:
    """A queue; `oldest_waiting` is shown for the queue of rounds only."""
    waited = oldest_waiting if queue.name == DISPATCH_QUEUE else None
    return QueueView.of(queue, oldest_waiting_seconds=waited.total_seconds() if waited else None)


def dead_letter_view(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView.model_validate(letter)


def advice_view(advice: Advice) -> AdviceView:
    return AdviceView.of(advice, **_place(advice))


def named_advice_view(advice: Advice) -> NamedAdviceView:
    return NamedAdviceView.of(advice, **_place(advice))


def _place(advice: Advice) -> dict[str, float]:
    return {"latitude": advice.location.latitude, "longitude": advice.location.longitude}


def dispatch_view(pause: Pause) -> DispatchView:
    return DispatchView(
        paused=pause.everywhere,
        zones=sorted(pause.zones),
        repositioning=pause.weight,
        repositioning_by_zone=dict(sorted(pause.weights.items())),
    )
