"""Staff reads what each zone has learned of travel times, and how well told times came true."""

from __future__ import annotations

from typing import Any

import pytest

from service.matching.correction import Correction, Kind, Leg
from service.matching.quotes import QuotedEta
from service.matching.zones import zone_of
from service.model.errors import Unavailable
from tests.support.api import Api
from tests.support.builders import BATTERY_PARK, NOW
from tests.support.fakes_redis import FakeCorrections

ZONE = zone_of(BATTERY_PARK)
LEG = Leg("a", "b", 900.0, 0.0, 150.0, NOW.timestamp(), 200.0, "u1")
UNLEARNED = {"is_learned": False, "latest_factor": pytest.approx(1.67, abs=0.01)}
NO_DRIVES = {
    "legs": 0,
    "promises": 0,
    "told_ratio_median": None,
    "within_20_percent": None,
    "by_latest": None,
}


def travel_times(api: Api) -> Any:
    answer = api.call("GET", "/v1/admin/travel-times", token="admin")
    assert answer.status_code == 200
    return answer.json


def test_a_zone_without_drives_is_not_listed(api: Api) -> None:
    assert travel_times(api) == {"travel_times": [], "next_cursor": None}


def test_quoted_times_are_compared_with_real_ones_and_a_given_up_drive_counts_as_late(
    api: Api,
) -> None:
    legs = api.ports.legs
    legs.add(ZONE, Kind.PICKUP, LEG, QuotedEta(told=180.0, latest=300.0, took=200.0))
    legs.add(ZONE, Kind.PICKUP, LEG, QuotedEta(told=300.0, latest=350.0, took=400.0))
    legs.add(ZONE, Kind.PICKUP, None, QuotedEta(told=100.0, latest=150.0, took=None))
    pickup, trip = travel_times(api)["travel_times"]
    assert pickup == {
        "zone": ZONE,
        "kind": "pickup",
        **UNLEARNED,
        "legs": 2,
        "promises": 3,
        "told_ratio_median": pytest.approx((180 / 200 + 300 / 400) / 2),
        "within_20_percent": pytest.approx(1 / 3),
        "by_latest": pytest.approx(1 / 3),
    }
    assert trip == {"zone": ZONE, "kind": "trip", **UNLEARNED, **NO_DRIVES}


def test_a_zone_that_has_learned_says_so_with_its_own_latest_factor(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = FakeCorrections()
    learned.put(ZONE, Kind.TRIP, Correction(spread=0.2))
    monkeypatch.setattr(api.ports.times.corrections, "of", learned.of)
    api.ports.legs.add(ZONE, Kind.TRIP, LEG, QuotedEta(told=180.0, latest=300.0, took=200.0))
    _, trip = travel_times(api)["travel_times"]
    assert (trip["is_learned"], trip["latest_factor"]) == (True, pytest.approx(1.29, abs=0.01))


def test_without_redis_the_view_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise Unavailable("redis")

    monkeypatch.setattr(api.ports.legs, "zones", away)
    answer = api.call("GET", "/v1/admin/travel-times", token="admin")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
