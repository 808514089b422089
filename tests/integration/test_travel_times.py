"""Travel times of a routing engine, and what becomes of them when it does not answer well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import numpy as np
import pytest

from service.core.travel_times import ZoneTimes
from service.matching.match import match
from service.matching.remaining import RemainingTime
from service.matching.travel import FloatArray, GreatCircle, TravelTimes, places
from service.matching.tuning import Tuning
from service.model import FleetEntry, Location, Position
from service.observability.instruments import ROUTING_FAILURES
from service.settings import Settings
from service.stores.osrm import TableService
from service.stores.routed import (
    MOST_CELLS_PER_PAIR,
    PAUSE_SECONDS,
    REMEMBERED_SECONDS,
    RoutedTimes,
)
from service.stores.travel_times import travel_times
from tests.support.builders import NOW, a_ride, a_usable_unicorn
from tests.support.infrastructure import free_port
from tests.support.service import Service
from tests.support.table_server import Question, TableServer, answer_of, drive

HERE, NEAR, THERE = Location(40.71, -74.0), Location(40.711, -74.0), Location(40.75, -73.98)
SETTINGS: dict[str, Any] = {"aws_region": "us-east-1", "redis_url": "redis://127.0.0.1:6379/0"}


@pytest.fixture
def server() -> Iterator[TableServer]:
    with TableServer() as server:
        yield server


class Clock:
    """Stands still unless it is moved."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def travel(server: TableServer, clock: Clock) -> RoutedTimes:
    return routed(server.url, clock)


def routed(url: str, clock: Clock, budget: float = 20, most_places: int = 100) -> RoutedTimes:
    return RoutedTimes(
        TableService(url),
        GreatCircle(),
        budget_seconds=budget,
        most_places=most_places,
        monotonic=clock,
    )


def one(travel: TravelTimes) -> tuple[float, float]:
    seconds, metres = travel.estimate(places([HERE]), places([THERE]))
    return float(seconds[0]), float(metres[0])


TOLD = drive((-74.0, 40.71), (-73.98, 40.75))
STRAIGHT = one(GreatCircle())


def random_pairs(number: int, distinct: int) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(7)
    known = np.round(random.uniform((40.6, -74.1), (40.9, -73.8), (distinct, 2)), 6)
    return known[random.integers(0, distinct, number)], known[random.integers(0, distinct, number)]


def told(origins: FloatArray, destinations: FloatArray) -> list[float]:
    pairs = zip(origins, destinations, strict=True)
    return [drive((a[1], a[0]), (b[1], b[0])) for a, b in pairs]


def test_a_pair_is_told_in_seconds_and_metres(server: TableServer, travel: RoutedTimes) -> None:
    assert one(travel) == (TOLD, 10 * TOLD)
    (question,) = server.asked
    assert (question.sources, question.targets) == ([(-74.0, 40.71)], [(-73.98, 40.75)])
    assert question.options == {"annotations": ["duration,distance"], "generate_hints": ["false"]}


def test_each_place_is_sent_once(server: TableServer, travel: RoutedTimes) -> None:
    origins, destinations = random_pairs(200, 20)
    seconds, metres = travel.estimate(origins, destinations)
    assert seconds == pytest.approx(told(origins, destinations))
    assert metres == pytest.approx(10 * seconds)
    (question,) = server.asked
    assert len(question.sources) == len(set(question.sources)) == len(np.unique(origins, axis=0))


def test_no_request_has_more_places_than_the_server_takes(
    server: TableServer, clock: Clock
) -> None:
    server.most_places = 10
    origins, destinations = random_pairs(120, 60)
    seconds, _ = routed(server.url, clock, most_places=10).estimate(origins, destinations)
    assert seconds == pytest.approx(told(origins, destinations))
    assert len(server.asked) > 1


def test_a_path_of_the_servers_address_is_kept(server: TableServer, clock: Clock) -> None:
    assert one(routed(f"{server.url}/osrm/", clock)) == (TOLD, 10 * TOLD)


def test_no_request_is_sent_for_no_pairs(server: TableServer, travel: RoutedTimes) -> None:
    seconds, metres = travel.estimate(places([]), places([]))
    assert len(seconds) == len(metres) == 0
    assert server.asked == []


@pytest.mark.parametrize("name", ["durations", "distances"])
def test_where_there_is_no_way_the_pair_is_estimated(
    server: TableServer, travel: RoutedTimes, name: str
) -> None:
    def no_way_to_the_second(question: Question) -> Any:
        answer = answer_of(question)
        answer[name] = [[row[0], None] for row in answer[name]]
        return answer

    server.answer = no_way_to_the_second
    origins, destinations = places([HERE, HERE]), places([NEAR, THERE])
    seconds, metres = travel.estimate(origins, destinations)
    way = drive((-74.0, 40.71), (-74.0, 40.711))
    assert (seconds[0], metres[0]) == (way, 10 * way)
    assert (seconds[1], metres[1]) == STRAIGHT
    assert travel.estimate(origins, destinations)[0][0] == way


def test_a_drive_from_a_place_to_itself_is_not_requested(
    server: TableServer, travel: RoutedTimes
) -> None:
    seconds, metres = travel.estimate(places([HERE, HERE]), places([HERE, THERE]))
    assert (seconds.tolist(), metres.tolist()) == ([0, TOLD], [0, 10 * TOLD])
    (question,) = server.asked
    assert question.targets == [(-73.98, 40.75)]


def test_scattered_drives_do_not_become_one_large_table(server: TableServer, clock: Clock) -> None:
    server.most_places = 1000
    origins, destinations = random_pairs(300, 3000)
    seconds, _ = routed(server.url, clock, most_places=1000).estimate(origins, destinations)
    assert seconds == pytest.approx(told(origins, destinations))
    cells = sum(len(question.sources) * len(question.targets) for question in server.asked)
    assert cells <= MOST_CELLS_PER_PAIR * 300


def test_an_answer_is_remembered_for_a_while(
    server: TableServer, travel: RoutedTimes, clock: Clock
) -> None:
    assert one(travel) == one(travel) == (TOLD, 10 * TOLD)
    assert len(server.asked) == 1
    server.answer = lambda question: answer_of(question) | {"durations": [[7.0]]}
    clock.seconds = 2 * REMEMBERED_SECONDS
    one(travel)  # one half of the memory is dropped
    clock.seconds = 3 * REMEMBERED_SECONDS
    assert one(travel) == (7.0, 10 * TOLD)


def test_a_round_asks_once_and_the_next_one_only_for_what_is_new(
    server: TableServer, travel: RoutedTimes
) -> None:
    service = Service()
    service.on_routes(ZoneTimes(travel, make_round_base=travel.for_a_round))
    for number in range(6):
        service.on_duty(f"busy{number}", at=Location(40.70 + number / 1000, -74.0))
        service.request(pickup=Location(40.70 + number / 1000, -74.001), dropoff=THERE)
    service.run_published_rounds()
    server.asked.clear()
    for number in range(9):
        service.on_duty(f"free{number}", at=Location(40.72 + number / 1000, -74.0))
        service.request(pickup=Location(40.72 + number / 1000, -74.002))
    service.run_published_rounds()
    (question,) = server.asked
    for asked in (question.sources, question.targets):
        assert len(asked) == len(set(asked))
    assert (-74.002, 40.72) in question.targets
    service.on_duty("late", at=Location(40.722, -74.003))
    service.request(pickup=Location(40.722, -74.004))
    service.run_published_rounds()
    assert server.asked[1].targets == [(-74.004, 40.722)]
    assert len(server.asked) == 2


def table(durations: Any, distances: Any = ((1.0,),), code: Any = "Ok") -> bytes:
    document = {"code": code, "durations": durations, "distances": distances}
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"code":"Ok"}',
        b"[" * 100_000,
        table([[1.0]], code="NoTable"),
        table([[1.0]], code=None),
        table([]),
        table([[1.0, 2.0]]),
        table([[1.0], [2.0]]),
        table([[1.0]], [[]]),
        table([["1.0"]]),
        table([[True]]),
        table([[[1.0]]]),
        table([[{}]]),
        table([[-1.0]]),
        table({"0": [1.0]}),
        table("1"),
        table([[1.0]]).replace(b"1.0", b"1e999", 1),
        table([[1.0]]).replace(b"1.0", b"NaN", 1)[:-1],
        table([[1.0]]).replace(b"1.0", b"9" * 5000, 1),
        table([[1.0]]).replace(b"1.0", b"9" * 400, 1),
        table([[1.0]]) + b" " * 100_000,
    ],
)
def test_an_answer_that_is_no_table_is_not_believed(
    server: TableServer, travel: RoutedTimes, body: bytes
) -> None:
    server.answer = lambda _: body
    assert one(travel) == STRAIGHT


@pytest.mark.parametrize("status", [204, 302, 400, 404, 429, 500, 503])
def test_an_error_is_no_table(server: TableServer, travel: RoutedTimes, status: int) -> None:
    server.status, server.headers = status, {"Location": f"{server.url}/elsewhere"}
    assert one(travel) == STRAIGHT
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_is_estimated_for(clock: Clock) -> None:
    assert one(routed(f"http://127.0.0.1:{free_port()}", clock)) == STRAIGHT


def test_a_server_that_keeps_quiet_is_not_waited_for(server: TableServer, clock: Clock) -> None:
    server.may_answer.clear()
    assert one(routed(server.url, clock, budget=0.1)) == STRAIGHT


def test_a_server_that_failed_is_left_alone_for_a_while(
    server: TableServer, travel: RoutedTimes, clock: Clock
) -> None:
    server.status = 500
    assert one(travel) == one(travel) == STRAIGHT
    assert len(server.asked) == 1
    server.status = 200
    clock.seconds = PAUSE_SECONDS - 0.1
    assert one(travel) == STRAIGHT
    clock.seconds = PAUSE_SECONDS + 0.1
    assert one(travel) == (TOLD, 10 * TOLD)


def test_what_is_not_asked_in_time_is_estimated_and_no_failure(
    server: TableServer, clock: Clock
) -> None:
    def slowly(question: Question) -> Any:
        clock.seconds += 4
        return answer_of(question)

    server.answer, server.most_places = slowly, 2
    travel = routed(server.url, clock, budget=10, most_places=2)
    origins, destinations = places([HERE] * 4), places([Location(40.8, n / 10) for n in range(4)])
    seconds, _ = travel.estimate(origins, destinations)
    straight, _ = GreatCircle().estimate(origins, destinations)
    expected = told(origins, destinations)
    assert sum(a == b for a, b in zip(seconds, expected, strict=True)) == 2
    assert sum(a == b for a, b in zip(seconds, straight, strict=True)) == 2
    travel.estimate(origins, destinations)
    assert len(server.asked) == 4


def test_a_round_asks_about_each_pair_once_within_one_budget(
    server: TableServer, clock: Clock
) -> None:
    def slowly(question: Question) -> Any:
        clock.seconds += 3
        return answer_of(question)

    server.answer = slowly
    travel = routed(server.url, clock, budget=10).for_a_round()
    origins, destinations = random_pairs(9, 500)
    pairs = [(origins[at : at + 3], destinations[at : at + 3]) for at in (0, 3, 6)]
    for asked in (pairs[0], pairs[0], *pairs):
        travel.estimate(*asked)
    assert len(server.asked) == 2, "too little is left for a third question"
    expected = [told(*pairs[0]), told(*pairs[1]), GreatCircle().estimate(*pairs[2])[0]]
    for asked, seconds in zip(pairs, expected, strict=True):
        assert travel.estimate(*asked)[0] == pytest.approx(seconds)
    assert len(server.asked) == 2


def test_the_questions_of_a_pairing_share_one_budget(server: TableServer, clock: Clock) -> None:
    travel = routed(server.url, clock)
    service = Service()
    service.on_routes(ZoneTimes(travel, make_round_base=travel.for_a_round))
    service.on_duty(at=HERE)
    ride = replace(service.request(), missed_by=frozenset({"u1"}))
    service.rides.put(ride)
    service.waiting.correct(ride)
    service.run_published_rounds()
    assert service.stored(ride).unicorn_id == "u1", "looked at twice: with and without its miss"
    assert len(server.asked) == 1


def test_a_round_asks_nothing_about_a_unicorn_that_will_be_busy_for_long(
    server: TableServer, travel: RoutedTimes
) -> None:
    service = Service()
    service.on_routes(ZoneTimes(travel, make_round_base=travel.for_a_round))
    service.on_duty("busy", at=Location(41.401, -74.0))
    service.request(pickup=Location(41.4, -74.0), dropoff=Location(40.721, -74.0))
    service.run_published_rounds()
    server.asked.clear()
    service.on_duty("free", at=Location(40.72, -74.0))
    service.request(pickup=Location(40.72, -74.001))
    service.run_published_rounds()
    trip, pickup = server.asked
    assert (trip.sources, trip.targets) == ([(-74.0, 41.4)], [(-74.0, 40.721)])
    assert (pickup.sources, pickup.targets) == ([(-74.0, 40.72)], [(-74.001, 40.72)])


def test_many_places_without_a_road_are_another_city_and_one_is_a_rider_in_the_sea(
    server: TableServer, travel: RoutedTimes
) -> None:
    def on_another_continent(question: Question) -> Any:
        answer = answer_of(question)
        for waypoint in answer["sources"]:
            waypoint["distance"] = 6_000_000.0
        return answer

    one(travel)
    server.answer = on_another_continent
    assert [travel.estimate(*random_pairs(1, 9))[0].size, travel.knows_the_city()] == [1, True]
    before = ROUTING_FAILURES.labels("no_road")._value.get()
    origins, destinations = random_pairs(20, 90)
    assert travel.estimate(origins, destinations)[0] == pytest.approx(
        GreatCircle().estimate(origins, destinations)[0]
    )
    assert not travel.knows_the_city()
    assert ROUTING_FAILURES.labels("no_road")._value.get() == before + 1
    server.answer = answer_of
    travel.estimate(places([THERE]), places([HERE]))
    assert travel.knows_the_city()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"code":1}', b"[" * 3000])
def test_a_server_that_talks_nonsense_is_no_routing_engine(
    server: TableServer, body: bytes
) -> None:
    assert TableService(server.url).answers(1.0)
    server.answer = lambda _: body
    assert not TableService(server.url).answers(1.0)


@pytest.mark.parametrize(("status", "is_one"), [(400, True), (404, False), (503, False)])
def test_an_engine_may_say_that_it_knows_no_such_place(
    server: TableServer, status: int, is_one: bool
) -> None:
    server.status, server.answer = status, lambda _: {"code": "NoSegment"}
    assert TableService(server.url).answers(1.0) == is_one


def test_the_settings_say_whether_there_is_a_routing_engine(server: TableServer) -> None:
    assert isinstance(travel_times(Settings(**SETTINGS)), GreatCircle)
    travel = travel_times(
        Settings(**SETTINGS, travel_times_url=server.url, travel_times_budget_ms=5000)
    )
    assert one(travel) == (TOLD, 10 * TOLD)
    with pytest.raises(ValueError, match="travel_times_url"):
        Settings(**SETTINGS, travel_times_url="osrm:5000")


def test_a_round_pairs_by_the_roads_not_by_the_straight_line(
    server: TableServer, travel: RoutedTimes
) -> None:
    pickup = Location(40.71, -74.0)
    across_the_river, along_the_street = Location(40.711, -74.0), Location(40.71, -74.01)

    def roads(question: Question) -> Any:
        answer = answer_of(question)
        answer["durations"] = [
            [900.0 if source[1] == across_the_river.latitude else 60.0 for _ in question.targets]
            for source in question.sources
        ]
        return answer

    server.answer = roads
    number = count(1)
    fleet = [
        FleetEntry(a_usable_unicorn(unicorn_id=f"u{next(number)}"), Position(at, NOW))
        for at in (across_the_river, along_the_street)
    ]
    ride = a_ride(pickup=pickup)
    later = NOW + timedelta(seconds=1)
    found = match([ride], fleet, {}, later, Tuning(), travel, RemainingTime.default())
    (claim,) = found.claims
    assert (claim.unicorn_id, claim.pickup_eta_seconds) == ("u2", 60)
