"""Numbers of the model that are promised, or that other tests use by their names only."""

from __future__ import annotations

from datetime import timedelta

from service.model import operations, places, presence, ride, status


def test_silences_and_outages_are_told_apart_as_documented() -> None:
    assert (presence.HEARING_GAP, presence.FORGOTTEN_AFTER) == (0.25, 3)
    assert (presence.OUTAGE_AT_LEAST, presence.OUTAGE_SHARE, presence.OUTAGE_LASTS) == (3, 0.25, 3)
    seconds = {patrol: every.total_seconds() for patrol, every in presence.PATROL_EVERY.items()}
    assert seconds == {presence.Patrol.SILENCE: 10, presence.Patrol.COMING: 60}


def test_positions_are_judged_as_documented() -> None:
    assert presence.FASTEST_METRES_PER_SECOND == 300
    assert (presence.TRAIL_METRES, presence.TRAIL_PLACES) == (50, 3)
    assert presence.AT_PICKUP_METRES == 50
    assert timedelta(seconds=30) == presence.CLOCK_SKEW
    assert timedelta(seconds=60) == presence.PROBLEM_AFTER
    assert places.Box(-180, -90, 180, 90) == places.WORLD


def test_a_ride_is_looked_after_as_documented() -> None:
    assert timedelta(minutes=10) == ride.LEFT_TO_PATROLS
    assert (ride.FRESH_DEADLINES, status.MOST_STEPS) == (3, 32)


def test_operators_see_as_much_as_documented() -> None:
    assert timedelta(seconds=8) == operations.WORKER_LOST_AFTER
