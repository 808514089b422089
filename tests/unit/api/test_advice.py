"""Where drivers and machines read where idle unicorns should wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.core.ports import LastRun
from service.matching.zones import zone_of
from service.model import Advice, Location, Position
from tests.support.api import Api, build_api
from tests.support.builders import NOW, a_ride, a_usable_unicorn
from tests.support.fakes_redis import FakeChanges, FakeListener

HERE, THERE = Location(40.7128, -74.0060), Location(40.7580, -73.9855)
ZONE = zone_of(HERE)
GOAL, OTHER_GOAL = "882a100d67fffff", "882a100d65fffff"
ADVICE = Advice("u1", GOAL, THERE, NOW, NOW + timedelta(seconds=60))
SHOWN = {
    "latitude": 40.758,
    "longitude": -73.9855,
    "reason": "riders_expected",
    "expires_at": "2026-11-23T02:47:28.123Z",
}


@pytest.fixture
def api() -> Api:
    api = build_api()
    unicorn = a_usable_unicorn(account_sub="driver-1")
    api.ports.unicorns.create(unicorn)
    api.ports.fleet.refresh(unicorn, NOW)
    api.ports.fleet.record("u1", Position(HERE, NOW), NOW)
    # A rider asked here, so that the zone is one of those that are looked at.
    api.ports.waiting.add([a_ride(pickup=HERE, zone=ZONE)])
    return api


def advise(api: Api, *advice: Advice) -> None:
    api.ports.moves.advise(ZONE, LastRun(at=NOW), advice)


def me(api: Api, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.call("GET", "/v1/fleet/me", token="driver", headers=names)


def test_an_idle_unicorn_sees_its_advice_and_a_busy_one_none(api: Api) -> None:
    assert me(api).json["advice"] is None
    advise(api, ADVICE)
    assert me(api).json["advice"] == SHOWN
    ride, free = a_ride(), api.ports.unicorns.get("u1")
    assert free
    api.ports.rides.create(ride)
    api.claim(ride, free)
    answer = me(api).json
    assert (answer["ride"]["ride_id"], answer["advice"]) == ("ride-1", None)


def test_the_tag_names_the_goal_so_that_only_another_one_is_news(api: Api) -> None:
    before = me(api).headers["ETag"]
    advise(api, ADVICE)
    answer = me(api, If_None_Match=before)
    tag = answer.headers["ETag"]
    assert (answer.status_code, tag) == (200, f'W/"1.{GOAL}"')
    advise(api, replace(ADVICE, expires_at=NOW + timedelta(seconds=90)))
    assert me(api, If_None_Match=tag).status_code == 304
    advise(api, replace(ADVICE, cell=OTHER_GOAL))
    assert me(api, If_None_Match=tag).status_code == 200
    advise(api)
    assert me(api, If_None_Match=before).status_code == 304


def test_a_position_is_answered_with_the_same_tag(api: Api) -> None:
    advise(api, ADVICE)
    body = {"latitude": HERE.latitude, "longitude": HERE.longitude}
    answer = api.call("PUT", "/v1/fleet/me/position", body, token="driver")
    assert answer.headers["ETag"] == me(api).headers["ETag"]
    available = {"available": True}
    answer = api.call("PUT", "/v1/fleet/me/availability", available, token="driver")
    assert answer.headers["ETag"] == me(api).headers["ETag"]


@pytest.mark.parametrize("with_tag", [True, False])
def test_new_advice_wakes_a_waiting_driver(
    api: Api, monkeypatch: pytest.MonkeyPatch, with_tag: bool
) -> None:
    waits: list[float] = []

    class Listener(FakeListener):
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            advise(api, ADVICE)
            return True

    @contextmanager
    def listen(_: FakeChanges, topic: str) -> Iterator[FakeListener]:
        assert topic == "unicorn:u1"
        yield Listener()

    headers = {"If_None_Match": me(api).headers["ETag"]} if with_tag else {}
    monkeypatch.setattr(FakeChanges, "listen", listen)
    answer = me(api, Prefer="wait=20", **headers)
    assert (answer.status_code, answer.json["advice"]) == (200, SHOWN)
    assert len(waits) == 1


def test_old_advice_does_not_end_a_wait_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    advise(api, ADVICE)
    waits: list[float] = []
    monkeypatch.setattr(FakeListener, "wait", lambda _, seconds: bool(waits.append(seconds)))
    assert me(api, Prefer="wait=9").json["advice"] == SHOWN
    assert waits


@pytest.mark.parametrize(
    ("path", "reader"), [("/v1/fleet/advice", "machine"), ("/v1/admin/advice", "admin")]
)
def test_a_machine_and_staff_read_the_advice_of_all_idle_unicorns(
    api: Api, path: str, reader: str
) -> None:
    advise(api, ADVICE, replace(ADVICE, unicorn_id="gone"))
    answer = api.call("GET", path, token=reader)
    assert (answer.status_code, answer.json) == (200, {"advice": [{"unicorn_id": "u1"} | SHOWN]})
    api.ports.fleet.refresh(a_usable_unicorn(accepting=False, version=2), NOW)
    assert api.call("GET", path, token=reader).json == {"advice": []}
    assert api.call("GET", path, token="driver").status_code == 403
