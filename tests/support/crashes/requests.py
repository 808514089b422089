"""What riders do."""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import replace

from service.core import rides, watch
from service.core.ports import Rules
from service.core.watch import Wait
from service.model import Rating
from tests.support.crashes.given import (
    ORDER,
    RIDE_ID,
    SECOND_ID,
    a_completed_ride,
    a_matched_ride,
    a_second_ride_waiting,
    a_triggered_ride,
    a_unicorn_on_duty,
    a_waiting_ride,
    an_offered_ride,
)
from tests.support.crashes.scenario import Process, a_second_each, scenario


@scenario(given=a_unicorn_on_duty)
def a_ride_is_requested(process: Process) -> object:
    return rides.request_ride(process.ports, ORDER, process.now)


@scenario(given=a_triggered_ride)
def a_request_is_repeated(process: Process) -> object:
    return rides.request_ride(process.ports, ORDER, process.now)


@scenario(given=a_unicorn_on_duty)
def a_ride_is_requested_within_a_limit(process: Process) -> object:
    limited = replace(process.ports, rules=Rules(max_active_rides=1))
    return rides.request_ride(limited, ORDER, process.now)


@scenario(given=a_waiting_ride)
def a_waiting_ride_is_canceled(process: Process) -> object:
    return rides.cancel_ride(process.ports, RIDE_ID, "rider-1", None, process.now)


@scenario(given=an_offered_ride)
def an_offered_ride_is_canceled(process: Process) -> object:
    return rides.cancel_ride(process.ports, RIDE_ID, "rider-1", "late", process.now)


@scenario(given=a_matched_ride)
def a_matched_ride_is_canceled(process: Process) -> object:
    return rides.cancel_ride(process.ports, RIDE_ID, "rider-1", None, process.now)


@scenario(given=a_completed_ride)
def a_ride_is_rated(process: Process) -> object:
    return rides.rate_ride(process.ports, RIDE_ID, "rider-1", Rating(5), process.now)


@scenario(given=a_second_ride_waiting)
def riders_look_and_wait(process: Process) -> object:
    ports, now = process.ports, process.now
    ports.rides.list_of_rider("rider-1", status=None, limit=20, start=None)
    ports.rides.list_of_unicorn("u1", status=None, limit=20, start=None)
    seen = rides.own_ride(ports, RIDE_ID, "rider-1")
    waiting = rides.own_ride(ports, SECOND_ID, "rider-2")
    watch.live_view(ports, ports.pickup_etas, seen, now)
    watch.live_view(ports, ports.pickup_etas, waiting, now)
    return watch.wait_for_ride(ports, seen, lambda _: False, 1.5, a_second_each(), Wait())


@scenario(given=a_matched_ride)
def a_rider_follows_a_ride(process: Process) -> object:
    seen = watch.follow_ride(
        process.ports,
        process.ports.pickup_etas,
        RIDE_ID,
        "rider-1",
        lambda: process.now,
        a_second_each(),
        Wait(),
    )
    with closing(seen):
        return list(itertools.islice(seen, 8))
