"""Everyday life in the city, and how every run of the ride machine must end."""

from __future__ import annotations

from datetime import timedelta

from service.core.unicorns import Step
from tests.support.ride_people import People
from tests.support.ride_witness import ARRIVED, ENDED, IN_PROGRESS, MATCHED, OFFERED

NEXT_STEP = {
    OFFERED: Step.ACCEPT,
    MATCHED: Step.ARRIVE,
    ARRIVED: Step.START,
    IN_PROGRESS: Step.COMPLETE,
}
TURNS, LONG_TURNS, LONG_TURN_SECONDS = 100, 200, 50.0
"""Long enough for three deadlines, then for a unicorn lost on the longest trip."""


def take_next_step(people: People, unicorn_id: str) -> None:
    """The unicorn goes on with its ride, if it has one."""
    ride_id = people.witness.unicorns[unicorn_id].ride_id
    if ride_id:
        people.step(unicorn_id, ride_id, NEXT_STEP[people.witness.rides[ride_id].status])


def live_on(people: People, seconds: float, turn_seconds: float) -> None:
    """The service runs as it does every day, but nobody asks for anything new."""
    end = people.now + timedelta(seconds=seconds)
    while people.now < end:
        people.pass_time(min(turn_seconds, (end - people.now).total_seconds()))
        people.send_positions()
        people.sweep()
        people.run_jobs()


def end_well(people: People, turn_seconds: float) -> None:
    """Before long every ride has ended, every unicorn is free and no zone waits for anybody."""
    people.trouble.end()
    people.claim_late()
    rides = people.witness.rides
    for seconds in [turn_seconds] * TURNS + [LONG_TURN_SECONDS] * LONG_TURNS:
        if all(ride.status in ENDED for ride in rides.values()):
            break
        live_on(people, seconds, seconds)
        for unicorn_id in people.present:
            take_next_step(people, unicorn_id)
    else:
        raise AssertionError("a ride that never ends")
    _all_is_put_away(people)


def _all_is_put_away(people: People) -> None:
    stores, rides = people.stores, people.witness.rides
    assert all(unicorn.ride_id is None for unicorn in people.witness.unicorns.values())
    assert all(stores.rides.get(ride_id) == ride for ride_id, ride in rides.items())
    assert not stores.rides.due(people.now + timedelta(days=1), 1)
    # What a zone still believes to be waiting is found out by its next round, whenever that is.
    people.pass_time(400)
    for zone in {ride.zone for ride in rides.values()}:
        people.dispatcher.run(zone, "")
        assert stores.waiting_ids(zone) == set(), "an ended ride still waits"
