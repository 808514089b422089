"""Positions of many unicorns at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.model import Location, UnicornState
from tests.support.api import Api, build_api
from tests.support.builders import NOW, a_unicorn, a_usable_unicorn

HERE = {"latitude": 40.7, "longitude": -74.0}


@pytest.fixture
def api() -> Api:
    api = build_api()
    for number in range(3):
        api.ports.unicorns.create(a_usable_unicorn(unicorn_id=f"u{number}"))
    return api


def send(api: Api, *positions: Any, token: str = "machine") -> TestResponse:
    return api.call("POST", "/v1/fleet/positions", {"positions": list(positions)}, token=token)


def of(unicorn_id: str, **changes: Any) -> dict[str, Any]:
    return {"unicorn_id": unicorn_id, **HERE, **changes}


def seconds_from_now(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


def test_positions_of_many_are_noted(api: Api) -> None:
    answer = send(api, *(of(f"u{number}", heading=number) for number in range(3)))
    assert (answer.status_code, answer.json) == (200, {"accepted": 3, "rejected": []})
    for number in range(3):
        position = api.ports.fleet.position(f"u{number}", NOW)
        assert position
        assert (position.location, position.heading) == (Location(40.7, -74.0), number)


def test_an_empty_list_of_positions_is_accepted(api: Api) -> None:
    assert send(api).json == {"accepted": 0, "rejected": []}


def test_impossible_positions_are_rejected_and_the_others_noted(api: Api) -> None:
    api.ports.unicorns.create(a_unicorn(unicorn_id="gone", state=UnicornState.REMOVED))
    answer = send(
        api,
        of("u0"),
        of("u1", recorded_at=seconds_from_now(31)),
        of("nobody"),
        of("gone"),
        of("u2", recorded_at=seconds_from_now(30)),
    )
    assert answer.json == {
        "accepted": 2,
        "rejected": [
            {"index": 1, "unicorn_id": "u1", "reason": "recorded_in_the_future"},
            {"index": 2, "unicorn_id": "nobody", "reason": "unknown_unicorn"},
            {"index": 3, "unicorn_id": "gone", "reason": "unknown_unicorn"},
        ],
    }
    assert api.ports.fleet.position("u1", NOW) is None
    assert api.ports.fleet.position("nobody", NOW) is None


def test_the_newest_of_a_unicorns_positions_counts_and_older_ones_are_ignored(api: Api) -> None:
    send(api, of("u0", latitude=1.0, recorded_at=seconds_from_now(-9)))
    answer = send(
        api,
        of("u0", latitude=1.002, recorded_at=seconds_from_now(-1)),
        of("u0", latitude=1.001, recorded_at=seconds_from_now(-2)),
        of("u1", latitude=2.0, recorded_at=seconds_from_now(-1)),
    )
    assert answer.json == {"accepted": 3, "rejected": []}
    send(api, of("u0", latitude=1.003, recorded_at=seconds_from_now(-5)))
    position = api.ports.fleet.position("u0", NOW)
    assert position
    assert position.location.latitude == 1.002


def test_unicorns_that_appear_trigger_the_rides_around_them_once(api: Api) -> None:
    ride = {"pickup": HERE}
    assert api.call("POST", "/v1/rides", ride).status_code == 202
    rounds, waiting = api.ports.rounds.published, api.ports.waiting  # type: ignore[attr-defined]
    rounds.clear()
    waiting.marks.clear()  # type: ignore[attr-defined]
    send(api, *(of(f"u{number}") for number in range(3)))
    assert len(rounds) == 1
    waiting.marks.clear()  # type: ignore[attr-defined]
    api.pass_time(4)
    send(api, *(of(f"u{number}", latitude=40.701) for number in range(3)))
    assert len(rounds) == 1


def test_states_are_read_only_when_they_are_not_known(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[set[str]] = []
    get_all = api.ports.unicorns.get_all
    monkeypatch.setattr(
        api.ports.unicorns, "get_all", lambda names: read.append(set(names)) or get_all(names)
    )
    send(api, of("u0"))
    send(api, of("u0"), of("u1"))
    assert read == [{"u0"}, {"u1"}]


def test_positions_are_noted_although_one_unicorns_row_is_unreadable(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_all = api.ports.unicorns.get_all
    monkeypatch.setattr(api.ports.unicorns, "get_all", lambda names: {**get_all(names), "u0": None})
    answer = send(api, of("u0"), of("u1"), of("nobody"))
    assert [each["unicorn_id"] for each in answer.json["rejected"]] == ["nobody"]  # type: ignore[index]
    assert all(api.ports.fleet.position(name, NOW) for name in ("u0", "u1"))


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"unicorn_id": "u1", **HERE, "latitude": 91}, "u1"),
        ({"unicorn_id": "a b", **HERE}, None),
        ({"unicorn_id": 7, **HERE}, None),
        ({"unicorn_id": "u1", **HERE, "altitude": 7}, "u1"),
        (HERE, None),
        ("u1", None),
        (None, None),
        ([], None),
    ],
)
def test_an_entry_that_makes_no_sense_costs_its_neighbours_nothing(
    api: Api, broken: Any, named: str | None
) -> None:
    answer = send(api, of("u0"), broken, of("u2"))
    rejected = [{"index": 1, "unicorn_id": named, "reason": "validation_failed"}]
    assert (answer.status_code, answer.json) == (200, {"accepted": 2, "rejected": rejected})
    assert api.ports.fleet.position("u0", NOW)
    assert api.ports.fleet.position("u2", NOW)


def test_an_unknown_heading_or_speed_is_accepted(api: Api) -> None:
    answer = send(api, of("u0", heading=-1, speed=-1), of("u1", speed=-1))
    assert answer.json == {"accepted": 2, "rejected": []}


def test_five_hundred_are_enough(api: Api) -> None:
    send(api, of("u0"))
    positions = [of("u0", recorded_at=seconds_from_now(0), speed=12.5, heading=271.5)] * 501
    assert send(api, *positions[:500]).json["accepted"] == 500
    assert send(api, *positions).status_code == 422


def test_a_body_of_128_kib_is_read_and_a_longer_one_is_413(api: Api) -> None:
    body = b'{"positions":[]}'
    for length, status in ((128 * 1024, 200), (128 * 1024 + 1, 413)):
        data = body + b" " * (length - len(body))
        answer = api.call("POST", "/v1/fleet/positions", data=data, token="machine")
        assert answer.status_code == status
