"""A unicorn lists its own rides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn


def get(api: Api, query: str = "", token: str = "driver") -> Any:
    return api.call("GET", f"/v1/fleet/me/rides{query}", token=token)


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json
    return [ride["ride_id"] for ride in answer.json["rides"]]


@pytest.fixture
def driven(api: Api) -> list[str]:
    """Rides of the driver's unicorn, newest first, beside those of another one."""
    mine = a_usable_unicorn(account_sub="driver-1")
    other = a_usable_unicorn(unicorn_id="u2", account_sub="driver-2")
    api.ports.unicorns.create(mine)
    for number in range(6):
        at = NOW - timedelta(hours=number)
        ride = a_ride(ride_id=f"ride-{number}", requested_at=at)
        matched, _ = a_matched_pair(ride, other if number % 3 == 2 else mine)
        api.ports.rides.create(matched)
    return ["ride-0", "ride-1", "ride-3", "ride-4"]


def test_a_unicorn_lists_its_own_rides_newest_first(api: Api, driven: list[str]) -> None:
    answer = get(api)
    assert ids(answer) == driven
    assert answer.json["next_cursor"] is None
    assert "rider_id" not in answer.json["rides"][0]
    assert ids(get(api, "?status=completed")) == []


def test_its_cursor_continues_this_listing_and_no_other(api: Api, driven: list[str]) -> None:
    first = get(api, "?limit=3")
    cursor = first.json["next_cursor"]
    assert ids(first) + ids(get(api, f"?limit=3&cursor={cursor}")) == driven
    refused = api.call("GET", f"/v1/admin/rides?cursor={cursor}", token="admin")
    assert (refused.status_code, refused.json["reason"]) == (422, "invalid_cursor")


def test_an_account_without_a_unicorn_has_no_rides_to_list(api: Api) -> None:
    assert get(api).status_code == 404
