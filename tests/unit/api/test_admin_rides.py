"""Staff lists anyone's rides, cancels and reassigns them."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.http import cursors
from service.model import MOST_STEPS, CanceledBy, RideStatus
from tests.support.api import Api
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn


def call(api: Api, method: str, path: str, body: Any = None) -> Any:
    return api.call(method, f"/v1/admin/rides{path}", body, token="admin")


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json
    return [ride["ride_id"] for ride in answer.json["rides"]]


@pytest.fixture
def rides(api: Api) -> list[str]:
    """Rides of two riders, one an hour older than the next; newest first."""
    names = [f"ride-{number}" for number in range(30)]
    for hours, name in enumerate(names):
        at = NOW - timedelta(hours=hours)
        status = RideStatus.UNMATCHED if hours % 3 else RideStatus.REQUESTED
        ride = a_ride(ride_id=name, rider_id=f"rider-{hours % 2}", requested_at=at, status=status)
        api.ports.rides.create(ride)
    return names


def test_rides_of_the_last_day_are_listed_newest_first(api: Api, rides: list[str]) -> None:
    assert ids(call(api, "GET", "?limit=100")) == rides[:25]
    assert call(api, "GET", "").json["rides"][1]["rider_id"] == "rider-1"


def test_rides_are_listed_since_an_instant_and_by_status(api: Api, rides: list[str]) -> None:
    assert ids(call(api, "GET", "?limit=100&since=2026-11-21T00:00:00Z")) == rides
    assert ids(call(api, "GET", "?since=2026-11-23T01:46:28.123Z")) == rides[:2]
    assert ids(call(api, "GET", "?since=2026-11-23T02:46:28.123%2B01:00")) == rides[:2]
    assert ids(call(api, "GET", "?status=requested&limit=100")) == rides[:25:3]
    assert ids(call(api, "GET", "?since=2126-01-01T00:00:00Z")) == []


def test_a_ride_whose_unicorn_does_not_come_needs_attention_until_it_is_there(api: Api) -> None:
    for status, attention in (
        (RideStatus.MATCHED, "not_coming"),
        (RideStatus.ARRIVED, None),
        (RideStatus.CANCELED, None),
    ):
        matched, _ = a_matched_pair(a_ride(ride_id=status.value), a_usable_unicorn())
        changes = {"status": status, "not_coming": frozenset({matched.unicorn_id})}
        api.ports.rides.create(replace(matched, **changes))
        assert call(api, "GET", f"/{status}").json["attention"] == attention
    assert "attention" not in api.call("GET", "/v1/rides/matched", token="rider").json


def test_rides_are_listed_page_by_page(api: Api, rides: list[str]) -> None:
    first = call(api, "GET", "?limit=20")
    cursor = first.json["next_cursor"]
    second = call(api, "GET", f"?limit=20&cursor={cursor}")
    assert ids(first) + ids(second) == rides[:25]
    assert second.json["next_cursor"] is None


@pytest.mark.parametrize("party", ["rider_id=rider-1", "unicorn_id=u1"])
def test_rides_of_one_rider_or_one_unicorn_are_listed_page_by_page(
    api: Api, rides: list[str], party: str
) -> None:
    unicorn = a_usable_unicorn()
    for name in rides[1::2]:
        ride = api.ports.rides.get(name)
        assert ride
        api.ports.rides.save(ride, replace(ride, unicorn=unicorn.seen_by_rider(ride.pickup)))
    assert ids(call(api, "GET", f"?{party}&limit=100")) == rides[1::2]
    first = call(api, "GET", f"?{party}&limit=10")
    rest = call(api, "GET", f"?{party}&limit=10&cursor={first.json['next_cursor']}")
    assert ids(first) + ids(rest) == rides[1::2]
    assert rest.json["next_cursor"] is None
    assert ids(call(api, "GET", f"?{party}&since=2026-11-22T22:00:00Z")) == rides[1:5:2]
    assert ids(call(api, "GET", f"?{party}&status=requested&limit=100")) == rides[3::6]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "rider_id=rider-1&unicorn_id=u1",
        "rider_id=",
        "unicorn_id=u 1",
        "limit=101",
        "status=lost",
        "since=yesterday",
        "since=2026-11-23",
        "since=2026-11-23T02:46:28",
        "since=1&since=2",
        "cursor=x",
    ],
)
def test_a_bad_listing_is_422(api: Api, query: str) -> None:
    assert call(api, "GET", f"?{query}").status_code == 422


def made_by_hand(payload: bytes, listing: cursors.Listing) -> str:
    code = cursors._code(payload, "admin-1", listing)
    return cursors.base64.urlsafe_b64encode(code + payload).decode().rstrip("=")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"ride_id":"ride-1","requested_at":"0001-01-01T00:00:00.000Z"}',
        b'{"ride_id":"ride-1","requested_at":"2026-13-41T99:00:00.000Z"}',
        b'{"ride_id":"ride-1","requested_at":5}',
        b'{"ride_id":5,"requested_at":"2026-11-23T02:46:28.123Z"}',
        b'{"ride_id":"","requested_at":"2026-11-23T02:46:28.123Z"}',
        b'{"ride_id":"ride-1","requested_at":"2026-11-23T02:46:28.123Z","more":1}',
        b'{"unicorn_id":"u1"}',
        b"{}",
        b"[]",
        b"x",
    ],
)
def test_a_cursor_made_by_hand_is_422(api: Api, payload: bytes) -> None:
    answer = call(api, "GET", f"?cursor={made_by_hand(payload, cursors.ALL_RIDES)}")
    assert (answer.status_code, answer.json["reason"]) == (422, "invalid_cursor")


def test_a_cursor_is_good_for_its_own_listing_only(api: Api, rides: list[str]) -> None:
    cursor = call(api, "GET", "?limit=1").json["next_cursor"]
    for path in ("/v1/rides", "/v1/admin/unicorns", "/v1/admin/dead-letters"):
        answer = api.call("GET", f"{path}?cursor={cursor}", token="admin")
        assert (answer.status_code, answer.json["reason"]) == (422, "invalid_cursor")


def test_any_riders_ride_is_shown(api: Api) -> None:
    api.ports.rides.create(a_ride(rider_id="somebody"))
    answer = call(api, "GET", "/ride-1")
    assert (answer.status_code, answer.json["rider_id"]) == (200, "somebody")
    assert answer.headers["ETag"] == '"1"'
    assert call(api, "GET", "/ride-2").status_code == 404


def test_a_ride_is_canceled_whatever_its_state(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    ride, unicorn = a_matched_pair(a_ride(), a_usable_unicorn())
    api.ports.rides.create(ride)
    api.ports.unicorns.create(unicorn)
    with caplog.at_level(logging.INFO, "service.audit"):
        answer = call(api, "POST", "/ride-1/cancel", {"reason": "a secret reason"})
    assert answer.status_code == 200
    assert [answer.json[name] for name in ("status", "canceled_by", "cancel_reason")] == [
        "canceled",
        "admin",
        "a secret reason",
    ]
    freed = api.ports.unicorns.get("u1")
    assert freed
    assert freed.ride_id is None
    (line,) = [record for record in caplog.records if record.name == "service.audit"]
    assert (line.message, line.ride_id, line.sub) == ("ride canceled", "ride-1", "admin-1")
    assert "secret" not in str(line.__dict__)
    assert call(api, "POST", "/ride-1/cancel").json == answer.json


def test_an_ended_ride_is_not_canceled(api: Api) -> None:
    api.ports.rides.create(a_ride(status=RideStatus.UNMATCHED, due_at=None))
    answer = call(api, "POST", "/ride-1/cancel")
    assert (answer.status_code, answer.json["reason"]) == (409, "not_cancelable")


def test_a_reassigned_ride_looks_for_another_unicorn(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    ride, unicorn = a_matched_pair(a_ride(), a_usable_unicorn())
    api.ports.rides.create(ride)
    api.ports.unicorns.create(unicorn)
    with caplog.at_level(logging.INFO, "service.audit"):
        answer = call(api, "POST", "/ride-1/reassign")
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["unicorn"]) == ("requested", None)
    assert [record.message for record in caplog.records if record.name == "service.audit"] == [
        "ride reassigned"
    ]
    again = call(api, "POST", "/ride-1/reassign")
    assert (again.status_code, again.json["reason"]) == (409, "illegal_transition")


def test_a_ride_that_is_not_there_is_404(api: Api) -> None:
    assert call(api, "POST", "/ride-1/cancel").status_code == 404
    assert call(api, "POST", "/ride-1/reassign").status_code == 404
    assert call(api, "GET", "/ride%201").status_code == 404


def test_a_timeline_tells_each_step_and_who_lost_the_ride(api: Api) -> None:
    second = timedelta(seconds=1)
    offered, _ = a_matched_pair(a_ride(), a_usable_unicorn(auto_accept=False))
    declined = offered.declined_by_unicorn(NOW + second, 180 * second)
    api.ports.rides.create(declined.canceled(CanceledBy.ADMIN, "storm", NOW + 2 * second))
    answer = call(api, "GET", "/ride-1/timeline")
    at = "2026-11-23T02:46:{}.123Z".format
    assert answer.json == {
        "ride_id": "ride-1",
        "left_out": 0,
        "steps": [
            dict(zip(("version", "at", "step", "status", "unicorn_id"), step, strict=True))
            for step in (
                (1, at(28), "requested", "requested", None),
                (2, at(28), "offered", "offered", "u1"),
                (3, at(29), "declined", "requested", "u1"),
                (4, at(30), "canceled_by_admin", "canceled", None),
            )
        ],
    }


def test_a_long_timeline_counts_the_steps_it_left_out(api: Api) -> None:
    ride = a_ride()
    for _ in range(MOST_STEPS):
        offered, _ = a_matched_pair(ride, a_usable_unicorn(auto_accept=False))
        ride = offered.offer_missed(NOW, timedelta(seconds=180))
    api.ports.rides.create(ride)
    answer = call(api, "GET", "/ride-1/timeline").json
    assert len(answer["steps"]) == MOST_STEPS
    assert answer["left_out"] + MOST_STEPS == ride.version


def test_the_timeline_of_no_ride_is_404(api: Api) -> None:
    assert call(api, "GET", "/ride-7/timeline").status_code == 404


def test_a_ride_from_before_timelines_says_that_its_steps_are_not_kept(api: Api) -> None:
    api.ports.rides.create(a_ride(status=RideStatus.UNMATCHED, version=5))
    answer = call(api, "GET", "/ride-1/timeline").json
    assert (answer["left_out"], len(answer["steps"])) == (4, 1)
    api.ports.rides.create(a_ride(ride_id="ride-2"))
    assert call(api, "GET", "/ride-2/timeline").json["left_out"] == 0
