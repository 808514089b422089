"""The gate: how many requests, long polls and streams a process takes on at once."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.http.context import SilentClient
from service.http.gate import POLLS_PER_SUBJECT, Gate, Holder
from service.http.problems import Problem
from service.model import Ride
from service.observability.instruments import STREAMS, WAITERS
from tests.support.api import Api, build_api
from tests.support.builders import a_ride
from tests.support.fakes import FakeRides
from tests.support.infrastructure import wait_until
from tests.unit.api.conftest import WhileWaiting

BODY = {"pickup": {"latitude": 40.71, "longitude": -73.95}}


def gate_of(api: Api) -> Gate:
    gate = api.app.extensions["gate"]
    assert isinstance(gate, Gate)
    return gate


def while_reading(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], TestResponse]
) -> list[TestResponse]:
    """Calls in the middle of another request's first read; returns their answers."""
    answers: list[TestResponse] = []
    get = FakeRides.get

    def interrupted(rides: FakeRides, ride_id: str) -> Ride | None:
        monkeypatch.setattr(FakeRides, "get", get)
        answers.append(act())
        return get(rides, ride_id)

    monkeypatch.setattr(FakeRides, "get", interrupted)
    return answers


@pytest.fixture
def api() -> Api:
    api = build_api(api_max_in_flight=1, api_max_waiters=1)
    api.ports.rides.create(a_ride())
    return api


def test_a_request_too_many_is_refused_before_anything_is_done(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    during = while_reading(monkeypatch, lambda: api.call("POST", "/v1/rides", BODY))
    assert api.call("GET", "/v1/rides/ride-1").status_code == 200
    assert during[0].status_code == 503
    assert during[0].json["reason"] == "unavailable"
    assert during[0].content_type == "application/problem+json"
    assert during[0].headers["Retry-After"] == "1"
    assert during[0].headers["X-Request-Id"]
    assert (
        len(api.ports.rides.list_of_rider("rider-1", status=None, limit=9, start=None).items) == 1
    )


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("POST", "/v1/rides", None, 401),
        ("GET", "/v1/fleet/me", "rider", 403),
        ("POST", "/v1/rides", "rider", 415),
        ("GET", "/v1/nothing", "rider", 404),
    ],
)
def test_a_request_refused_for_another_reason_needs_no_place(
    api: Api, monkeypatch: pytest.MonkeyPatch, method: str, path: str, token: str, status: int
) -> None:
    during = while_reading(monkeypatch, lambda: api.call(method, path, token=token))
    api.call("GET", "/v1/rides/ride-1")
    assert during[0].status_code == status


class SlowBody(io.BytesIO):
    """A body during which the client does something else."""

    def __init__(self, body: bytes, act: Callable[[], object]) -> None:
        super().__init__(body)
        self._act = act

    def readinto(self, buffer: Any) -> int:
        self._act()
        return super().readinto(buffer)

    def read(self, size: int | None = -1) -> bytes:
        self._act()
        return super().read(size)


def test_no_place_is_held_while_a_body_is_read(api: Api) -> None:
    seen: list[tuple[int, int]] = []

    def look() -> None:
        seen.append((gate_of(api).in_flight, api.call("GET", "/v1/rides").status_code))

    answer = api.app.test_client().post(
        "/v1/rides",
        headers={"Authorization": "Bearer rider", "Content-Type": "application/json"},
        input_stream=SlowBody(json.dumps(BODY).encode(), look),
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert answer.status_code == 202
    assert set(seen) == {(0, 200)}


def test_no_place_is_held_while_an_answer_is_written(api: Api) -> None:
    answer = api.app.test_client().open(
        "/v1/rides", headers={"Authorization": "Bearer rider"}, buffered=False
    )
    assert gate_of(api).in_flight == 0
    assert answer.json == {"rides": [], "next_cursor": None} or answer.json["rides"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_routes_need_no_place(api: Api, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    during = while_reading(monkeypatch, lambda: api.call("GET", path, token=None))
    api.call("GET", "/v1/rides/ride-1")
    assert during[0].status_code == 200


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [("/v1/rides", "rider", 200), ("/v1/rides", None, 401), ("/x", "rider", 404)],
)
def test_every_answer_makes_room_again(api: Api, path: str, token: str | None, status: int) -> None:
    for _ in range(3):
        assert api.call("GET", path, token=token).status_code == status
    assert gate_of(api).in_flight == 0


def test_an_unexpected_error_makes_room_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(FakeRides, "get", lambda *_: 1 / 0)
        assert api.call("GET", "/v1/rides/ride-1").status_code == 500
    assert api.call("GET", "/v1/rides/ride-1").status_code == 200


def test_a_waiting_request_holds_no_place(api: Api, while_waiting: WhileWaiting) -> None:
    during: list[TestResponse] = []
    while_waiting(lambda: during.append(api.call("GET", "/v1/rides")))
    api.call("GET", "/v1/rides/ride-1", headers={"Prefer": "wait=5"})
    assert during[0].status_code == 200
    assert (gate_of(api).in_flight, gate_of(api).waiters) == (0, 0)


def test_without_room_to_wait_the_answer_comes_at_once(
    api: Api, while_waiting: WhileWaiting
) -> None:
    wait = {"Prefer": "wait=5"}
    during: list[TestResponse] = []
    while_waiting(lambda: during.append(api.call("GET", "/v1/rides/ride-1", headers=wait)))
    waited = api.call("GET", "/v1/rides/ride-1", headers=wait)
    assert waited.headers["Preference-Applied"] == "wait=5"
    assert during[0].status_code == 200
    assert "Preference-Applied" not in during[0].headers


def test_room_that_another_took_during_the_read_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise one caller could hold more long polls than its limit by sending them at once."""
    api, path = build_api(api_max_waiters=1), "/v1/rides/ride-1"
    api.ports.rides.create(a_ride())
    streams = while_reading(monkeypatch, lambda: api.call("GET", f"{path}/events"))
    answer = api.call("GET", path, headers={"Prefer": "wait=5"})
    assert "Preference-Applied" not in answer.headers
    streams[0].close()


def test_without_room_to_wait_no_stream_is_opened(api: Api) -> None:
    stream = api.call("GET", "/v1/rides/ride-1/events")
    refused = api.call("GET", "/v1/rides/ride-1/events")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    stream.close()
    assert api.call("GET", "/v1/rides/ride-1/events").status_code == 200


def test_an_open_stream_holds_no_place(api: Api) -> None:
    stream = api.call("GET", "/v1/rides/ride-1/events")
    assert api.call("GET", "/v1/rides").status_code == 200
    assert gate_of(api).waiters == 1
    stream.close()


def test_waits_end_when_the_process_is_to_stop(api: Api, while_waiting: WhileWaiting) -> None:
    waits = while_waiting(api.app.extensions["stop"])
    wait = {"Prefer": "wait=30"}
    answers = [api.call("GET", "/v1/rides/ride-1", headers=wait) for _ in range(2)]
    assert [answer.json["status"] for answer in answers] == ["requested"] * 2
    assert len(waits) == 2, "each ends when it wakes for the first time"


RIDER, OTHER = ("subject", "rider"), ("subject", "other")
HERE, THERE = ("address", "192.0.2.1"), ("address", "192.0.2.2")


def queued(gate: Gate) -> int:
    """The number of requests that wait for a place."""
    return len(gate._queue)


class Worker:
    """Works on a request, in a thread, until it is told to end."""

    def __init__(self, gate: Gate, *holders: Holder) -> None:
        self.outcome = "queued"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(gate, holders))
        before = queued(gate)
        self._thread.start()
        wait_until(lambda: self.outcome != "queued" or queued(gate) > before, "entering")

    def _work(self, gate: Gate, holders: tuple[Holder, ...]) -> None:
        try:
            with gate.place(*holders):
                self.outcome = "working"
                self._ended.wait(30)
        except Problem:
            self.outcome = "refused"

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def test_a_freed_place_goes_to_the_newest_request() -> None:
    gate = Gate(max_in_flight=1, max_waiters=1, patience=30)
    workers = [Worker(gate) for _ in range(4)]
    for worker, successor in ((0, 3), (3, 2), (2, 1)):
        workers[worker].end()
        wait_until(lambda s=successor: workers[s].outcome == "working", "a turn")
        assert gate.in_flight == 1
    workers[1].end()
    assert (gate.in_flight, queued(gate)) == (0, 0)


def test_a_request_that_begins_to_wait_frees_its_place() -> None:
    gate = Gate(max_in_flight=1, max_waiters=1, patience=30)
    with gate.place():
        worker = Worker(gate)
        with gate.waiting(SilentClient(), "rider"):
            wait_until(lambda: worker.outcome == "working", "a turn")
            assert (gate.in_flight, gate.waiters) == (1, 1)
        assert (gate.in_flight, gate.waiters) == (2, 0)
        worker.end()
    assert gate.in_flight == 0


def test_a_request_without_a_turn_leaves_no_trace() -> None:
    gate = Gate(max_in_flight=1, max_waiters=1, patience=0.01)
    with gate.place():
        with pytest.raises(Problem), gate.place():
            pass
        assert (gate.in_flight, queued(gate)) == (1, 0)
    with gate.place():
        assert gate.in_flight == 1


def test_a_turn_that_comes_when_the_time_is_just_up_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(max_in_flight=1, max_waiters=1)
    first = gate.place()
    first.__enter__()

    def wait_too_long(*_: object) -> bool:
        first.__exit__(None, None, None)
        return False

    monkeypatch.setattr(threading.Event, "wait", wait_too_long)
    with gate.place():
        assert (gate.in_flight, queued(gate)) == (1, 0)


@pytest.mark.parametrize(("holder", "share", "other"), [(RIDER, 2, OTHER), (HERE, 4, THERE)])
def test_one_caller_and_one_address_hold_a_share_and_the_rest_is_for_others(
    holder: Holder, share: int, other: Holder
) -> None:
    gate = Gate(max_in_flight=8, max_waiters=1, patience=0.01)
    with ExitStack() as held:
        for _ in range(share):
            held.enter_context(gate.place(holder))
        with pytest.raises(Problem), gate.place(holder):
            pass
        with gate.place(other):
            assert gate.in_flight == share + 1
    with gate.place(holder):
        assert gate.in_flight == 1


def test_a_free_place_goes_to_the_newest_whose_share_is_not_used_up() -> None:
    gate = Gate(max_in_flight=4, max_waiters=1, patience=30)
    greedy = [Worker(gate, RIDER, HERE)]
    fill = [Worker(gate, ("subject", str(n)), ("address", str(n))) for n in range(3)]
    modest = Worker(gate, OTHER, THERE)
    greedy.append(Worker(gate, RIDER, HERE))
    fill.pop().end()
    wait_until(lambda: modest.outcome == "working", "the turn of the older one")
    assert greedy[1].outcome == "queued"
    for worker in (greedy[0], greedy[1], modest, *fill):
        worker.end()
    assert (gate.in_flight, queued(gate)) == (0, 0)


def test_each_caller_may_hold_one_place_even_of_a_single_one() -> None:
    gate = Gate(max_in_flight=1, max_waiters=1)
    with gate.place(RIDER, HERE):
        assert gate.in_flight == 1


def test_one_rider_cannot_take_all_the_waiting_there_is() -> None:
    gate = Gate(max_in_flight=1, max_waiters=2000)
    with gate.place(), ExitStack() as held:
        for _ in range(POLLS_PER_SUBJECT):
            assert gate.has_room_to_wait("rider")
            held.enter_context(gate.waiting(SilentClient(), "rider"))
        assert not gate.has_room_to_wait("rider")
        assert gate.has_room_to_wait("other")


def test_long_polls_and_streams_are_gauged(api: Api) -> None:
    before = WAITERS.collect()[0].samples[0].value, STREAMS.collect()[0].samples[0].value
    stream = api.call("GET", "/v1/rides/ride-1/events")
    during = WAITERS.collect()[0].samples[0].value, STREAMS.collect()[0].samples[0].value
    stream.close()
    after = WAITERS.collect()[0].samples[0].value, STREAMS.collect()[0].samples[0].value
    assert during == (before[0] + 1, before[1] + 1)
    assert after == before
