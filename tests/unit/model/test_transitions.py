"""From which states a ride can take each step: exactly those of the table, and no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from service.model import ASSIGNED, ERASED, TERMINAL, CanceledBy, Rating, Ride, RideStatus, RideStep
from service.model.errors import IllegalTransition
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn

ALL = frozenset(RideStatus)
OPEN = ALL - TERMINAL
WAIT = timedelta(seconds=60)

REQUESTED, OFFERED, MATCHED = RideStatus.REQUESTED, RideStatus.OFFERED, RideStatus.MATCHED
ARRIVED, IN_PROGRESS = RideStatus.ARRIVED, RideStatus.IN_PROGRESS
COMPLETED, UNMATCHED = RideStatus.COMPLETED, RideStatus.UNMATCHED

STEPS: dict[str, tuple[frozenset[RideStatus], Callable[[Ride], Ride]]] = {
    "claim": (frozenset({REQUESTED}), lambda ride: a_matched_pair(ride, a_usable_unicorn())[0]),
    "accept": (frozenset({OFFERED}), lambda ride: ride.accepted(NOW)),
    "arrive": (frozenset({MATCHED}), lambda ride: ride.arrived(NOW, WAIT)),
    "start": (frozenset({ARRIVED}), lambda ride: ride.started(NOW)),
    "complete": (frozenset({IN_PROGRESS}), lambda ride: ride.completed(NOW)),
    "return": (
        frozenset({OFFERED, MATCHED, ARRIVED}),
        lambda ride: ride.returned(NOW, WAIT, RideStep.FELL_SILENT),
    ),
    "give up": (frozenset({REQUESTED}), lambda ride: ride.unmatched(NOW)),
    "replay": (frozenset({UNMATCHED}), lambda ride: ride.replayed(NOW, WAIT)),
    "rate": (frozenset({COMPLETED}), lambda ride: ride.rated(Rating(5))),
    "erase": (TERMINAL, lambda ride: ride.erased()),
    "cancel by its rider": (
        OPEN - {IN_PROGRESS},
        lambda ride: ride.canceled(CanceledBy.RIDER, None, NOW),
    ),
    "cancel by an admin": (OPEN, lambda ride: ride.canceled(CanceledBy.ADMIN, None, NOW)),
    "cancel by the system": (OPEN, lambda ride: ride.canceled(CanceledBy.SYSTEM, None, NOW)),
}


def a_ride_that_is(status: RideStatus) -> Ride:
    unicorn = a_usable_unicorn().seen_by_rider(a_ride().pickup) if status in ASSIGNED else None
    return a_ride(status=status, unicorn=unicorn)


@pytest.mark.parametrize("status", sorted(ALL))
@pytest.mark.parametrize(("allowed", "step"), STEPS.values(), ids=STEPS)
def test_a_step_is_taken_from_its_states_only_and_makes_the_next_version(
    allowed: frozenset[RideStatus], step: Callable[[Ride], Ride], status: RideStatus
) -> None:
    ride = a_ride_that_is(status)
    if status in allowed:
        assert step(ride).version == ride.version + 1
        return
    with pytest.raises(IllegalTransition):
        step(ride)


def test_a_ride_of_an_erased_rider_is_never_requested_again() -> None:
    with pytest.raises(IllegalTransition):
        a_ride(status=UNMATCHED, rider_id=ERASED).replayed(NOW, WAIT)


def test_an_offer_can_be_accepted_only_before_it_expires() -> None:
    offered = a_ride(
        status=OFFERED, due_at=NOW, unicorn=a_usable_unicorn().seen_by_rider(a_ride().pickup)
    )
    assert offered.accepted(NOW - timedelta(milliseconds=1)).status is MATCHED
    with pytest.raises(IllegalTransition):
        offered.accepted(NOW)


@pytest.mark.parametrize(
    ("ride", "ended_at"),
    [
        (a_ride(), None),
        (a_ride(status=COMPLETED, completed_at=NOW, canceled_at=NOW - WAIT), NOW),
        (a_ride(status=RideStatus.CANCELED, canceled_at=NOW, deadline_at=NOW + WAIT), NOW),
        (a_ride(status=UNMATCHED, deadline_at=NOW + WAIT), NOW + WAIT),
    ],
)
def test_a_ride_ended_when_it_was_completed_canceled_or_given_up(
    ride: Ride, ended_at: datetime | None
) -> None:
    assert ride.ended_at == ended_at
