"""Repositioning advises idle unicorns where to wait, and records whether they follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from service.core.moves import Repositioner, RunReport, demand_of
from service.core.ports import RecentRequest
from service.core.travel_times import ZoneTimes
from service.core.unicorns import valid_advice
from service.matching.correction import Correction, Kind
from service.matching.demand import Demand
from service.matching.travel import FloatArray, GreatCircle, NoWay, TravelTimes, seconds_between
from service.matching.tuning import Repositioning
from service.matching.zones import zone_of
from service.model import Advice, Location, RepositioningLevel
from tests.support.fakes_redis import FakeCorrections
from tests.support.service import Service

TIMES_SQUARE = Location(40.7580, -73.9855)
SOUTH = Location(40.7430, -73.9855)
ZONE = zone_of(TIMES_SQUARE)
PERIOD = timedelta(seconds=30)


@pytest.fixture
def busy(service: Service) -> Service:
    """Forty riders asked at one place lately, and an idle unicorn stands a mile away."""
    service.fleet.begin_epoch(service.now)
    service.later(300)
    for number in range(40):
        service.later(1)
        ride = service.request(f"rider-{number}", pickup=TIMES_SQUARE)
        service.waiting.discard(ride.zone, [ride.ride_id])
    service.on_duty("u1", SOUTH)
    return service


def run(service: Service, ways: TravelTimes | None = None) -> RunReport | None:
    times = ZoneTimes(GreatCircle())
    ports = service.moves, service.fleet, service.control, service.changes
    return Repositioner(*ports, times, ways, PERIOD).run(ZONE, service.now)


def told(service: Service, unicorn_id: str = "u1") -> Advice | None:
    return service.fleet.presence(unicorn_id, service.now).advice


def test_an_idle_unicorn_is_told_where_riders_will_be(busy: Service) -> None:
    assert run(busy) == RunReport(sent=1)
    advice = told(busy)
    assert advice
    assert GreatCircle().crow_metres(advice.location, TIMES_SQUARE) < 100
    assert advice.expires_at == busy.now + 2 * PERIOD
    assert "unicorn:u1" in busy.changes.announced
    assert valid_advice(busy.moves, busy.fleet, busy.now) == [advice]


def test_demand_counts_the_riders_from_this_instant_back_to_the_bounds_and_none_of_the_future(
    service: Service,
) -> None:
    knobs = Repositioning()
    ages = {
        0: "now",
        knobs.rate_seconds: "earlier",
        knobs.remembered_seconds: "long ago",
        -1: "next",
    }
    asked = [
        RecentRequest(cell=cell, at=service.now - timedelta(seconds=age))
        for age, cell in ages.items()
    ]
    assert demand_of(asked, service.now, knobs) == Demand({"now": 1, "earlier": 1}, lately=1)


def test_a_unicorn_that_follows_its_advice_keeps_it_and_no_announcement_is_made(
    busy: Service,
) -> None:
    run(busy)
    first = told(busy)
    busy.later(30)
    busy.drives_to(Location(40.7443, -73.9855))
    busy.changes.announced.clear()
    report = run(busy)
    assert report
    assert (report.sent, report.followed, report.ignored) == (0, 1, 0)
    assert report.metres == pytest.approx(198, abs=3)
    again = told(busy)
    assert first
    assert again
    assert again.cell == first.cell
    assert "unicorn:u1" not in busy.changes.announced


def test_a_unicorn_that_stays_is_trusted_less_until_it_gets_no_advice(busy: Service) -> None:
    run(busy)
    ignored = 0
    for _ in range(4):
        busy.later(30)
        busy.drives_to(SOUTH)
        report = run(busy)
        ignored += report.ignored if report else 0
    assert ignored >= 1
    assert busy.moves.runs[ZONE].trust["u1"] < 0.6
    assert told(busy) is None


def test_a_ride_ends_the_advice_and_a_unicorn_that_followed_is_rewarded(busy: Service) -> None:
    run(busy)
    busy.later(30)
    busy.drives_to(Location(40.7443, -73.9855))
    run(busy)
    busy.request("another", pickup=TIMES_SQUARE, dropoff=SOUTH)
    busy.run_published_rounds()
    assert busy.stored_unicorn().ride_id
    assert valid_advice(busy.moves, busy.fleet, busy.now) == []
    busy.later(30)
    report = run(busy)
    assert report
    assert report.rewarded == 1
    assert told(busy) is None
    busy.later(30)
    assert run(busy) == replace(report, rewarded=0, followed=0, ignored=0, metres=0.0)


def test_advice_ends_by_itself(busy: Service) -> None:
    run(busy)
    busy.later(60)
    assert told(busy) is None
    assert valid_advice(busy.moves, busy.fleet, busy.now) == []


def test_a_clock_that_is_set_back_leaves_no_advice(busy: Service) -> None:
    run(busy)
    busy.now -= timedelta(seconds=3600)
    assert told(busy) is None
    assert run(busy) == RunReport()
    assert busy.moves.told[ZONE] == []


def test_a_clock_that_jumps_ahead_leaves_no_advice(busy: Service) -> None:
    busy.now += timedelta(hours=1)
    busy.drives_to(SOUTH)
    assert run(busy) == RunReport()
    assert told(busy) is None


def test_a_new_redis_gives_no_advice_until_it_knows_enough(busy: Service) -> None:
    busy.fleet.epoch = busy.now - timedelta(seconds=299)
    assert run(busy) == RunReport()
    busy.fleet.epoch = None
    busy.later(30)
    assert run(busy) == RunReport()
    assert told(busy) is None


def test_repeated_requests_of_one_rider_move_no_unicorn(service: Service) -> None:
    service.fleet.begin_epoch(service.now)
    service.on_duty("u1", SOUTH)
    for _ in range(300):
        service.later(1)
        ride = service.request("the same", pickup=TIMES_SQUARE)
        service.waiting.discard(ride.zone, [ride.ride_id])
    service.drives_to(SOUTH)
    assert len(service.waiting.requests) <= 2
    assert run(service) == RunReport()


@pytest.mark.parametrize("where", [ZONE, None])
def test_advice_ends_when_staff_turns_repositioning_off_and_its_unicorn_is_told(
    busy: Service, where: str | None
) -> None:
    run(busy)
    assert told(busy)
    busy.control.reposition(where, RepositioningLevel.OFF)
    busy.later(30)
    busy.changes.announced.clear()
    run(busy)
    assert told(busy) is None
    assert "unicorn:u1" in busy.changes.announced


def test_a_paused_zone_gives_no_advice(busy: Service) -> None:
    busy.control.set_paused(ZONE, True)
    assert run(busy) is None
    assert told(busy) is None


def test_a_second_job_right_after_the_first_does_nothing(busy: Service) -> None:
    run(busy)
    busy.later(1)
    assert run(busy) is None
    assert told(busy)


def test_no_unicorn_is_sent_to_a_goal_that_the_routing_engine_cannot_reach(busy: Service) -> None:
    assert run(busy, ways=NoWay()) == RunReport()
    assert told(busy) is None
    assert busy.moves.runs[ZONE].goal_by_unicorn == {}


class Detour:
    """Every drive takes `factor` times as long as the straight line."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def estimate(self, origins: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
        seconds, metres = GreatCircle().estimate(origins, ends)
        return np.multiply(seconds, self._factor), metres

    def reach_metres(self, seconds: float) -> float:
        return GreatCircle().reach_metres(seconds / self._factor)


@pytest.mark.parametrize(("pace", "sent"), [(1.05, 1), (1.4, 0)])
def test_with_an_engine_goals_are_chosen_at_the_pace_that_the_zone_has_learned(
    busy: Service, pace: float, sent: int
) -> None:
    learned, engine = FakeCorrections(), Detour(1.0)
    learned.put(ZONE, Kind.PICKUP, Correction(pace=pace))
    ports = busy.moves, busy.fleet, busy.control, busy.changes
    found = Repositioner(*ports, ZoneTimes(engine, learned), engine, PERIOD).run(ZONE, busy.now)
    assert found == RunReport(sent=sent)
    for move in busy.moves.runs[ZONE].moves:
        straight = seconds_between(GreatCircle(), SOUTH, move.target)
        assert move.seconds == pytest.approx(pace * straight, abs=1)


def test_no_unicorn_is_sent_to_a_goal_that_is_too_far_by_road(busy: Service) -> None:
    assert run(busy, ways=Detour(2.0)) == RunReport()
    busy.later(30)
    busy.drives_to(SOUTH)
    assert run(busy, ways=Detour(1.05)) == RunReport(sent=1)


def test_predicted_demand_is_compared_with_the_requests_that_came(busy: Service) -> None:
    run(busy)
    predicted = sum(busy.moves.runs[ZONE].predicted.values())
    assert predicted == pytest.approx(40)
    for number in range(10):
        busy.later(30)
        ride = busy.request(f"new-{number}", pickup=TIMES_SQUARE)
        busy.waiting.discard(ride.zone, [ride.ride_id])
        busy.drives_to(SOUTH)
        report = run(busy)
    assert report
    assert (report.predicted, report.real) == (pytest.approx(40), 10)
    assert report.apart == pytest.approx(30)


@pytest.mark.parametrize(("seconds", "followed"), [(90, 1), (91, 0)])
def test_advice_is_judged_by_runs_of_the_last_three_periods(
    busy: Service, seconds: int, followed: int
) -> None:
    run(busy)
    busy.later(seconds)
    busy.drives_to(Location(40.7500, -73.9855))
    report = run(busy)
    assert report
    assert report.followed == followed
