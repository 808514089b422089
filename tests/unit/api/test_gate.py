"""How much is taken on at once: what is refused, what never is, and what does not count."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.http.gate import Gate
from service.http.problems import Problem
from service.model import Ride
from tests.support.api import Api, build_api
from tests.support.builders import a_ride
from tests.support.fakes import FakeRides
from tests.support.fakes_redis import FakeChanges
from tests.support.infrastructure import wait_until

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


def while_waiting(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], TestResponse]
) -> list[TestResponse]:
    """Calls while another request waits; returns their answers."""
    answers: list[TestResponse] = []

    @contextmanager
    def listen(_: FakeChanges, topic: str) -> Any:
        class Listener:
            def wait(self, seconds: float) -> bool:
                if not answers:
                    answers.append(act())
                return False

        yield Listener()

    monkeypatch.setattr(FakeChanges, "listen", listen)
    return answers


@pytest.fixture
def api() -> Api:
    api = build_api(api_max_in_flight=1, api_max_waiters=1)
    api.ports.rides.create(a_ride())
    return api


def test_more_than_can_be_done_at_once_is_refused_before_anything_is_done(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    during = while_reading(monkeypatch, lambda: api.call("POST", "/v1/rides", BODY, token=None))
    assert api.call("GET", "/v1/rides/ride-1").status_code == 200
    assert during[0].status_code == 503
    assert during[0].json["reason"] == "unavailable"
    assert during[0].content_type == "application/problem+json"
    assert during[0].headers["Retry-After"] == "1"
    assert during[0].headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_who_asks_after_the_process_is_always_answered(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
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


def test_who_waits_is_no_load(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    during = while_waiting(monkeypatch, lambda: api.call("GET", "/v1/rides"))
    api.call("GET", "/v1/rides/ride-1", headers={"Prefer": "wait=5"})
    assert during[0].status_code == 200
    assert (gate_of(api).in_flight, gate_of(api).waiters) == (0, 0)


def test_without_room_to_wait_the_answer_comes_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = {"Prefer": "wait=5"}
    during = while_waiting(monkeypatch, lambda: api.call("GET", "/v1/rides/ride-1", headers=wait))
    waited = api.call("GET", "/v1/rides/ride-1", headers=wait)
    assert waited.headers["Preference-Applied"] == "wait=5"
    assert during[0].status_code == 200
    assert "Preference-Applied" not in during[0].headers


def test_without_room_to_wait_no_stream_is_opened(api: Api) -> None:
    stream = api.call("GET", "/v1/rides/ride-1/events")
    refused = api.call("GET", "/v1/rides/ride-1/events")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    stream.close()
    assert api.call("GET", "/v1/rides/ride-1/events").status_code == 200


def test_open_streams_are_no_load(api: Api) -> None:
    stream = api.call("GET", "/v1/rides/ride-1/events")
    assert api.call("GET", "/v1/rides").status_code == 200
    assert gate_of(api).waiters == 1
    stream.close()


def test_waits_end_when_the_process_is_to_stop(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> TestResponse:
        api.app.extensions["stop"]()
        return api.call("GET", "/v1/rides")

    during = while_waiting(monkeypatch, stop)
    waits = [api.call("GET", "/v1/rides/ride-1", headers={"Prefer": "wait=30"}) for _ in range(2)]
    assert [answer.json["status"] for answer in waits] == ["requested"] * 2
    assert len(during) == 1


def in_turn(gate: Gate, names: str) -> tuple[list[threading.Thread], list[str]]:
    """Threads that enter one after the other, and who has been let in."""
    let_in: list[str] = []
    threads = []
    for name in names:

        def enter(name: str = name) -> None:
            gate.enter()
            let_in.append(name)

        threads.append(threading.Thread(target=enter))
        threads[-1].start()
        wait_until(lambda: gate.queued == len(threads), "the queue")
    return threads, let_in


def test_who_leaves_lets_the_newest_in() -> None:
    gate = Gate(max_in_flight=1, max_waiters=1, patience=30)
    gate.enter()
    threads, let_in = in_turn(gate, "abc")
    for expected in (["c"], ["c", "b"], ["c", "b", "a"]):
        gate.leave()
        wait_until(lambda e=expected: let_in == e, "a turn")
        assert gate.in_flight == 1
    for thread in threads:
        thread.join()
    gate.leave()
    assert (gate.in_flight, gate.queued) == (0, 0)


def test_who_begins_to_wait_lets_another_in() -> None:
    gate = Gate(max_in_flight=1, max_waiters=1, patience=30)
    gate.enter()
    threads, let_in = in_turn(gate, "a")
    with gate.waiting():
        threads[0].join()
        assert (let_in, gate.in_flight, gate.waiters) == (["a"], 1, 1)
    assert (gate.in_flight, gate.waiters) == (2, 0)
    gate.leave()
    gate.leave()
    assert gate.in_flight == 0


def test_who_had_no_turn_leaves_nothing_behind() -> None:
    gate = Gate(max_in_flight=1, max_waiters=1, patience=0.01)
    gate.enter()
    with pytest.raises(Problem):
        gate.enter()
    assert (gate.in_flight, gate.queued) == (1, 0)
    gate.leave()
    gate.enter()


def test_a_turn_that_comes_when_the_time_is_just_up_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(max_in_flight=1, max_waiters=1)
    gate.enter()

    def wait_too_long(*_: object) -> bool:
        gate.leave()
        return False

    monkeypatch.setattr(threading.Event, "wait", wait_too_long)
    gate.enter()
    assert (gate.in_flight, gate.queued) == (1, 0)
