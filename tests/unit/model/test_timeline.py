"""The timeline of a ride lists its steps, with version, instant and unicorn."""

from __future__ import annotations

from datetime import timedelta

from service.model import MOST_STEPS, STATUS_AFTER, Ride, RideStatus, RideStep, steps_of
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn

WAIT = timedelta(seconds=180)
SECOND = timedelta(seconds=1)


def told(ride: Ride) -> list[tuple[int, RideStep, str | None]]:
    steps = steps_of(ride.timeline, ride.requested_at)
    return [(each.version, each.step, each.unicorn_id) for each in steps]


def offered(ride: Ride, unicorn_id: str) -> Ride:
    return a_matched_pair(ride, a_usable_unicorn(unicorn_id=unicorn_id, auto_accept=False))[0]


def test_the_timeline_of_a_new_ride_has_only_its_request() -> None:
    assert told(a_ride()) == [(1, RideStep.REQUESTED, None)]


def test_a_timeline_says_who_declined_and_why_a_unicorn_lost_the_ride() -> None:
    declined = offered(a_ride(), "u1").declined_by_unicorn(NOW + SECOND, WAIT)
    missed = offered(declined, "u2").offer_missed(NOW + 16 * SECOND, WAIT)
    matched = offered(missed, "u3").accepted(NOW + 2 * SECOND)
    reassigned = matched.returned(NOW + 20 * SECOND, WAIT, RideStep.REASSIGNED)
    assert told(reassigned.unmatched(NOW + WAIT)) == [
        (1, RideStep.REQUESTED, None),
        (2, RideStep.OFFERED, "u1"),
        (3, RideStep.DECLINED, "u1"),
        (4, RideStep.OFFERED, "u2"),
        (5, RideStep.OFFER_EXPIRED, "u2"),
        (6, RideStep.OFFERED, "u3"),
        (7, RideStep.ACCEPTED, None),
        (8, RideStep.REASSIGNED, "u3"),
        (9, RideStep.DEADLINE_PASSED, None),
    ]


def test_each_step_tells_when_it_happened() -> None:
    declined = offered(a_ride(), "u1").declined_by_unicorn(NOW + 7 * SECOND, WAIT)
    instants = [each.at for each in steps_of(declined.timeline, declined.requested_at)]
    assert instants == [NOW, NOW, NOW + 7 * SECOND]
    # The stored text, which other releases read: version, milliseconds, step and unicorn.
    assert declined.timeline == "2 0 offered u1\n3 7000 declined u1"


def test_a_timeline_keeps_the_request_and_the_latest_steps() -> None:
    ride = a_ride()
    for number in range(2 * MOST_STEPS):
        ride = offered(ride, f"u{number}").declined_by_unicorn(NOW, WAIT)
    steps = steps_of(ride.timeline, ride.requested_at)
    assert len(steps) == MOST_STEPS
    assert steps[0].step is RideStep.REQUESTED
    assert [each.version for each in steps[1:]] == list(
        range(ride.version - MOST_STEPS + 2, ride.version + 1)
    )


def test_every_step_leads_to_a_state_and_every_state_is_reached() -> None:
    assert STATUS_AFTER.keys() == set(RideStep)
    assert set(STATUS_AFTER.values()) == set(RideStatus)
