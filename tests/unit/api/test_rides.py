"""What riders see: requesting, waiting, looking, listing, canceling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from service.model import CanceledBy, Pairing, Position, Ride, RideStatus
from service.model.errors import Unavailable
from tests.support.api import Api
from tests.support.builders import BATTERY_PARK, CENTRAL_PARK, NOW, a_finished_ride
from tests.support.fakes_redis import FakeWaitingRides
from tests.unit.api.conftest import WhileWaiting

BODY = {"pickup": {"latitude": 40.71, "longitude": -73.95}}


def request_ride(api: Api, body: Any = None, **headers: str) -> Any:
    return api.call("POST", "/v1/rides", body or BODY, headers=headers)


def stored(api: Api, answer: Any) -> Ride:
    ride = api.ports.rides.get(answer.json["ride_id"])
    assert ride
    return ride


def test_a_request_is_accepted_and_shown_in_full(api: Api) -> None:
    body = BODY | {"dropoff": {"latitude": 40.78, "longitude": -73.97}, "note": "by the fountain"}
    answer = request_ride(api, body)
    ride_id = answer.json["ride_id"]
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/rides/{ride_id}"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["ETag"] == '"1"'
    assert "Idempotency-Replayed" not in answer.headers
    assert "Preference-Applied" not in answer.headers
    unknown_yet = dict.fromkeys(
        (
            *(
                "unicorn",
                "pickup_eta_seconds",
                "pickup_eta_latest_seconds",
                "pickup_distance_metres",
                "matched_at",
            ),
            *("arrived_at", "started_at", "completed_at", "canceled_at", "canceled_by"),
            *("cancel_reason", "rating"),
        )
    )
    assert answer.json == unknown_yet | body | {
        "ride_id": ride_id,
        "status": "requested",
        "version": 1,
        "rider_id": "rider-1",
        "requested_at": "2026-11-23T02:46:28.123Z",
    }


def test_a_request_triggers_a_round_with_its_request_id(api: Api) -> None:
    answer = request_ride(api, **{"X-Request-Id": "req-7"})
    assert api.ports.rounds.published == [(stored(api, answer).zone, "req-7")]


def test_the_same_key_and_body_is_the_same_ride(api: Api) -> None:
    first = request_ride(api, **{"Idempotency-Key": "key-1"})
    api.pass_time(60)
    second = request_ride(
        api,
        {"pickup": {"longitude": -73.95, "latitude": 40.710}, "note": None},
        **{"Idempotency-Key": "key-1"},
    )
    assert second.json == first.json
    assert second.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers


def test_the_same_key_of_another_rider_is_another_ride(api: Api) -> None:
    key = {"Idempotency-Key": "key-1"}
    first = request_ride(api, **key)
    second = api.call("POST", "/v1/rides", BODY, token="other", headers=key)
    assert second.json["ride_id"] != first.json["ride_id"]


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    request_ride(api, **{"Idempotency-Key": "key-1"})
    answer = request_ride(api, BODY | {"note": "else"}, **{"Idempotency-Key": "key-1"})
    assert (answer.status_code, answer.json["reason"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "schlüssel", "tab\there"])
def test_a_bad_key_is_named_and_nothing_is_stored(api: Api, key: str) -> None:
    answer = request_ride(api, **{"Idempotency-Key": key})
    assert (answer.status_code, answer.json["reason"]) == (422, "validation_failed")
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"
    assert api.call("GET", "/v1/rides").json["rides"] == []


def test_a_ride_matched_while_waiting_is_201_with_its_unicorn(
    api: Api, while_waiting: WhileWaiting
) -> None:
    def match() -> None:
        [ride] = api.ports.rides.list_of_rider("rider-1", status=None, limit=9, start=None).items
        api.match(ride)

    while_waiting(match)
    answer = request_ride(api, Prefer="wait=10")
    assert answer.status_code == 201
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert "Retry-After" not in answer.headers
    assert answer.json["status"] == "matched"
    assert answer.json["unicorn"]["unicorn_id"] == "u1"


def test_waiting_in_vain_is_202(api: Api) -> None:
    answer = request_ride(api, Prefer="wait=5")
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "wait=5"


@pytest.mark.parametrize(
    ("preference", "applied"),
    [
        ("wait=0", "wait=0"),
        ("wait=30", "wait=30"),
        ("wait=31", "wait=30"),
        ("wait=" + "9" * 5000, "wait=30"),
        ("wait=0010", "wait=10"),
        ("respond-async, wait=2", "wait=2"),
        ('WAIT = "3" ; x', "wait=3"),
        *((malformed, None) for malformed in ("wait", "wait=", "wait=-1", "wait=1.5", "wait=x")),
        *((malformed, None) for malformed in ("waits=1", "wait=１", 'wait="1', "", ",")),
    ],
)
def test_a_wait_is_capped_and_a_malformed_one_ignored(
    api: Api, preference: str, applied: str | None
) -> None:
    ride_id = request_ride(api).json["ride_id"]
    api.call("POST", f"/v1/rides/{ride_id}/cancel")
    headers = {"Prefer": preference.encode().decode("latin-1")}
    answer = api.call("GET", f"/v1/rides/{ride_id}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers.get("Preference-Applied") == applied


def test_a_ride_is_seen_by_its_rider_only(api: Api) -> None:
    path = f"/v1/rides/{request_ride(api).json['ride_id']}"
    assert api.call("GET", path).status_code == 200
    for method, of in (("GET", path), ("GET", f"{path}/live"), ("POST", f"{path}/cancel")):
        answer = api.call(method, of, token="other")
        assert (answer.status_code, answer.json["reason"]) == (404, "not_found")


@pytest.mark.parametrize("ride_id", ["x" * 65, "%00", "%ff", "a%20b", "..", "account%23x", "é"])
def test_an_impossible_id_is_404(api: Api, ride_id: str) -> None:
    for path in (f"/v1/rides/{ride_id}", f"/v1/rides/{ride_id}/live"):
        assert api.call("GET", path).status_code == 404


@pytest.mark.parametrize("tags", ['"1"', 'W/"1"', '"7", "1"', "*"])
def test_a_known_version_is_304_without_a_body(api: Api, tags: str) -> None:
    ride_id = request_ride(api).json["ride_id"]
    answer = api.call("GET", f"/v1/rides/{ride_id}", headers={"If-None-Match": tags})
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == '"1"'


@pytest.mark.parametrize("tags", ['"2"', "1", '"1', "", "nonsense"])
def test_another_version_is_shown(api: Api, tags: str) -> None:
    ride_id = request_ride(api).json["ride_id"]
    answer = api.call("GET", f"/v1/rides/{ride_id}", headers={"If-None-Match": tags})
    expected = 304 if tags == "1" else 200  # werkzeug takes a bare tag for a quoted one
    assert answer.status_code == expected


def test_a_long_poll_ends_with_a_new_version(api: Api, while_waiting: WhileWaiting) -> None:
    ride = stored(api, request_ride(api))
    while_waiting(lambda: api.match(ride))
    headers = {"Prefer": "wait=20", "If-None-Match": '"1"'}
    answer = api.call("GET", f"/v1/rides/{ride.ride_id}", headers=headers)
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')


def test_a_long_poll_in_vain_is_304(api: Api) -> None:
    ride_id = request_ride(api).json["ride_id"]
    headers = {"Prefer": "wait=20", "If-None-Match": '"1"'}
    answer = api.call("GET", f"/v1/rides/{ride_id}", headers=headers)
    assert answer.status_code == 304
    assert answer.headers["Preference-Applied"] == "wait=20"


def test_a_long_poll_without_a_version_waits_for_a_unicorn_and_no_longer(
    api: Api, while_waiting: WhileWaiting
) -> None:
    ride = stored(api, request_ride(api))
    waits = while_waiting(lambda: api.match(ride))
    path, headers = f"/v1/rides/{ride.ride_id}", {"Prefer": "wait=20"}
    assert api.call("GET", path, headers=headers).json["status"] == "matched"
    assert len(waits) == 1
    assert api.call("GET", path, headers=headers).json["status"] == "matched"
    assert len(waits) == 1


def test_no_request_waits_for_a_ride_that_ended(api: Api, while_waiting: WhileWaiting) -> None:
    ride_id = request_ride(api).json["ride_id"]
    api.call("POST", f"/v1/rides/{ride_id}/cancel")
    waits = while_waiting(lambda: None)
    headers = {"Prefer": "wait=20", "If-None-Match": '"2"'}
    assert api.call("GET", f"/v1/rides/{ride_id}", headers=headers).status_code == 304
    assert waits == []


def test_a_unicorn_with_an_open_offer_is_not_shown(api: Api) -> None:
    ride = stored(api, request_ride(api))
    api.match(ride, auto_accept=False)
    shown = api.call("GET", f"/v1/rides/{ride.ride_id}").json
    assert (shown["status"], shown["version"]) == ("offered", 2)
    hidden = (
        "unicorn",
        "pickup_eta_seconds",
        "pickup_eta_latest_seconds",
        "pickup_distance_metres",
        "matched_at",
    )
    assert [shown[name] for name in hidden] == [None] * 5


def test_a_matched_ride_shows_where_its_unicorn_stood(api: Api) -> None:
    ride = api.match(stored(api, request_ride(api)))
    shown = api.call("GET", f"/v1/rides/{ride.ride_id}").json
    assert ride.unicorn
    assert shown["unicorn"] == {
        "unicorn_id": "u1",
        "name": "Shadowfax",
        "color": "White",
        "gender": "Male",
        "location": {
            "latitude": ride.unicorn.location.latitude,
            "longitude": ride.unicorn.location.longitude,
        },
    }
    assert shown["pickup_eta_seconds"] == ride.pickup_eta_seconds


def test_the_live_view_follows_the_unicorn(api: Api) -> None:
    ride = stored(api, request_ride(api))
    path = f"/v1/rides/{ride.ride_id}/live"
    unmatched = {"status": "requested", "version": 1, "location": None}
    etas = {
        "pickup_eta_seconds": None,
        "pickup_eta_latest_seconds": None,
        "planned_pickup_eta_seconds": None,
    }
    assert api.call("GET", path).json == unmatched | etas
    api.match(ride)
    api.ports.fleet.record("u1", Position(CENTRAL_PARK, NOW, heading=90.0), NOW)
    live = api.call("GET", path).json
    assert live["pickup_eta_seconds"] > 0
    assert live["location"] == {
        "latitude": CENTRAL_PARK.latitude,
        "longitude": CENTRAL_PARK.longitude,
        "heading": 90.0,
        "recorded_at": "2026-11-23T02:46:28.123Z",
    }


def test_the_live_view_shows_the_eta_of_a_planned_unicorn(api: Api) -> None:
    ride = stored(api, request_ride(api))
    assert isinstance(api.ports.waiting, FakeWaitingRides)
    plan = Pairing(ride.ride_id, "u1", 95, 400)
    api.ports.waiting.plans[ride.zone] = {ride.ride_id: plan}
    live = api.call("GET", f"/v1/rides/{ride.ride_id}/live").json
    assert (live["planned_pickup_eta_seconds"], live["pickup_eta_seconds"]) == (95, None)


def rate(api: Api, body: Any, ride_id: str = "ride-1", token: str = "rider") -> Any:
    return api.call("POST", f"/v1/rides/{ride_id}/rating", body, token=token)


def test_a_completed_ride_is_rated_once_and_again(api: Api) -> None:
    ride = a_finished_ride(rating=None)
    api.ports.rides.create(ride)
    rated = rate(api, {"stars": 4, "comment": "soft"})
    assert (rated.status_code, rated.json["rating"]) == (200, {"stars": 4, "comment": "soft"})
    assert rated.json["version"] == ride.version + 1
    assert rated.headers["ETag"] == f'"{ride.version + 1}"'
    assert rate(api, {"stars": 4, "comment": "soft"}).json == rated.json
    assert rate(api, {"stars": 5}).json["rating"] == {"stars": 5, "comment": None}
    assert rate(api, {"stars": 5}, token="other").status_code == 404


def test_only_a_completed_ride_can_be_rated(api: Api) -> None:
    ride_id = request_ride(api).json["ride_id"]
    refused = rate(api, {"stars": 4}, ride_id)
    assert (refused.status_code, refused.json["reason"]) == (409, "illegal_transition")
    api.call("POST", f"/v1/rides/{ride_id}/cancel")
    assert rate(api, {"stars": 4}, ride_id).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"stars": 0},
        {"stars": 6},
        {"stars": "5"},
        {"stars": 4.5},
        {"stars": 5, "comment": "x" * 281},
    ],
)
def test_a_rating_has_one_to_five_stars(api: Api, body: Any) -> None:
    api.ports.rides.create(a_finished_ride())
    assert rate(api, body).status_code == 422


def list_all(api: Api, **query: str) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        pairs = query | ({"cursor": cursor} if cursor else {})
        text = "&".join(f"{name}={value}" for name, value in pairs.items())
        page = api.call("GET", f"/v1/rides?{text}").json
        found += [ride["ride_id"] for ride in page["rides"]]
        cursor = page["next_cursor"]
    return found


def request_several(api: Api, count: int) -> list[str]:
    ids = []
    for _ in range(count):
        api.pass_time(1)
        ids.append(request_ride(api).json["ride_id"])
    return ids[::-1]


def test_rides_are_listed_newest_first_page_by_page(api: Api) -> None:
    ids = request_several(api, 7)
    api.call("POST", "/v1/rides", BODY, token="other")
    for limit in ("1", "3", "7", "100"):
        assert list_all(api, limit=limit) == ids
    assert list_all(api) == ids


def test_rides_are_listed_by_status(api: Api) -> None:
    ids = request_several(api, 3)
    api.call("POST", f"/v1/rides/{ids[1]}/cancel")
    assert list_all(api, status="canceled", limit="1") == [ids[1]]
    assert list_all(api, status="requested", limit="1") == [ids[0], ids[2]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={bad}", "limit") for bad in ("0", "101", "-1", "x", "", "1.5", "1_0", "%20 5")),
        *((f"limit={bad}", "limit") for bad in ("9" * 5000, "1&limit=2", "%D9%A1")),
        *(
            (f"status={bad}", "status")
            for bad in ("", "Matched", "bogus", "matched&status=offered")
        ),
        ("cursor=a&cursor=b", "cursor"),
        ("cursor=" + "x" * 2000, "cursor"),
    ],
)
def test_a_bad_query_parameter_is_named(api: Api, query: str, field: str) -> None:
    answer = api.call("GET", f"/v1/rides?{query}")
    assert (answer.status_code, answer.json["reason"]) == (422, "validation_failed")
    assert [fault["field"] for fault in answer.json["errors"]] == [field]


def test_a_cursor_is_good_for_its_rider_only(api: Api) -> None:
    request_several(api, 2)
    cursor = api.call("GET", "/v1/rides?limit=1").json["next_cursor"]
    assert api.call("GET", f"/v1/rides?cursor={cursor}").status_code == 200
    answer = api.call("GET", f"/v1/rides?cursor={cursor}", token="other")
    assert (answer.status_code, answer.json["reason"]) == (422, "invalid_cursor")


@pytest.mark.parametrize("cursor", ["", "AAAA", "!!", "eyJyaWRlX2lkIjoieCJ9", "A" * 300, "%ff"])
def test_an_invented_cursor_is_refused(api: Api, cursor: str) -> None:
    answer = api.call("GET", f"/v1/rides?cursor={cursor}")
    assert (answer.status_code, answer.json["reason"]) == (422, "invalid_cursor")


def test_canceling_twice_is_canceling_once(api: Api) -> None:
    path = f"/v1/rides/{request_ride(api).json['ride_id']}/cancel"
    first = api.call("POST", path, {"reason": "changed my mind"})
    second = api.call("POST", path, {"reason": "another"})
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json == first.json
    assert first.json["canceled_by"] == CanceledBy.RIDER
    assert first.json["cancel_reason"] == "changed my mind"


def test_a_ride_under_way_cannot_be_canceled(api: Api) -> None:
    ride = api.match(stored(api, request_ride(api)))
    started = replace(ride, status=RideStatus.IN_PROGRESS)
    api.ports.rides.put(started)
    answer = api.call("POST", f"/v1/rides/{ride.ride_id}/cancel")
    assert (answer.status_code, answer.json["reason"]) == (409, "not_cancelable")


def test_an_unavailable_store_is_503_with_retry_after(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Ride) -> None:
        raise Unavailable("table Rides on db.internal timed out")

    monkeypatch.setattr(api.ports.rides, "create", fail)
    answer = request_ride(api)
    assert (answer.status_code, answer.json["reason"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert b"internal" not in answer.data


def test_a_broker_that_is_away_loses_no_ride(api: Api) -> None:
    api.ports.rounds.fail = True
    answer = request_ride(api)
    assert answer.status_code == 202
    assert stored(api, answer).pickup != BATTERY_PARK
