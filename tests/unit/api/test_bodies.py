"""Hostile bodies: each bad field of each route is refused by name, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.api import Api, build_api
from tests.support.builders import a_unicorn

POINT = {"latitude": 40.7, "longitude": -74.0}
RIDES, CANCEL = ("POST", "/v1/rides", "rider"), ("POST", "/v1/rides/r1/cancel", "rider")
POSITION = ("PUT", "/v1/fleet/me/position", "driver")
AVAILABILITY = ("PUT", "/v1/fleet/me/availability", "driver")
STEP = ("POST", "/v1/fleet/me/rides/r1/accept", "driver")
ENROLL = ("POST", "/v1/admin/unicorns", "admin")
PATCH = ("PATCH", "/v1/admin/unicorns/u1", "admin")
ROUTES = (RIDES, CANCEL, POSITION, AVAILABILITY, STEP, ENROLL, PATCH)
Target = tuple[str, str, str]

GOOD: dict[Target, dict[str, Any]] = {
    RIDES: {"pickup": POINT, "dropoff": POINT, "note": "by the fountain"},
    CANCEL: {"reason": "changed my mind"},
    POSITION: {**POINT, "heading": 90, "speed": 5.5, "recorded_at": "2026-11-23T02:46:00Z"},
    AVAILABILITY: {"available": True},
    STEP: {},
    ENROLL: {
        "name": "Shadowfax",
        "color": "White",
        "gender": "Male",
        "unicorn_id": "u2",
        "account_sub": "sub-2",
        "auto_accept": False,
        "location": POINT,
    },
    PATCH: {"accepting": True},
}

NOT_NUMBERS = ("40.7", True, None, [], {}, [40.7], {"value": 40.7}, "")
NOT_LATITUDES = (*NOT_NUMBERS, 91, -90.001, 1e300, 10**400)
NOT_LONGITUDES = (*NOT_NUMBERS, 181, -180.001)
NOT_POINTS = ("40.7,-74", 1, True, [], [40.7, -74.0])
NOT_TEXT = (1, True, [], {}, "\ud800", "x" * 281)
NOT_NAMES = (*NOT_TEXT, None, "", "x" * 65)
NOT_BOOLEANS = (0, 1, "true", None, [], {})
NOT_INSTANTS = (
    *("yesterday", "2026-11-23", "2026-11-23T02:46:28", "1795401988", "2026-13-01T00:00:00Z"),
    *("2026-11-23T02:46:61Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", 1, [], ""),
)

BAD_FIELDS: list[tuple[Target, str, tuple[Any, ...]]] = [
    (RIDES, "pickup", (*NOT_POINTS, None)),
    (RIDES, "pickup.latitude", NOT_LATITUDES),
    (RIDES, "pickup.longitude", NOT_LONGITUDES),
    (RIDES, "pickup.altitude", (1, None)),
    (RIDES, "dropoff", NOT_POINTS),
    (RIDES, "dropoff.latitude", NOT_LATITUDES),
    (RIDES, "dropoff.longitude", NOT_LONGITUDES),
    (RIDES, "note", NOT_TEXT),
    (RIDES, "rider_id", ("rider-2", None)),
    (CANCEL, "reason", NOT_TEXT),
    (CANCEL, "canceled_by", ("admin",)),
    (POSITION, "latitude", NOT_LATITUDES),
    (POSITION, "longitude", NOT_LONGITUDES),
    (POSITION, "heading", ("north", True, [], -0.5, 360.5)),
    (POSITION, "speed", ("fast", True, [], -0.1, 1e9)),
    (POSITION, "recorded_at", NOT_INSTANTS),
    (POSITION, "unicorn_id", ("u2",)),
    (STEP, "heading", (-2,)),
    (STEP, "recorded_at", NOT_INSTANTS),
    (AVAILABILITY, "available", NOT_BOOLEANS),
    (AVAILABILITY, "accepting", (True,)),
    (STEP, "at", ("2026-11-23T02:46:00Z",)),
    (ENROLL, "name", NOT_NAMES),
    (ENROLL, "color", NOT_NAMES),
    (ENROLL, "gender", NOT_NAMES),
    (ENROLL, "unicorn_id", ("", "a b", "a/b", "account#x", "u\n", "x" * 65, 1, [])),
    (ENROLL, "account_sub", ("", "a b", "ä", "s\n", "x" * 129, 1, [])),
    (ENROLL, "auto_accept", NOT_BOOLEANS),
    (ENROLL, "location", NOT_POINTS),
    (ENROLL, "location.latitude", NOT_LATITUDES),
    (ENROLL, "state", ("available",)),
    (PATCH, "accepting", NOT_BOOLEANS),
    (PATCH, "auto_accept", NOT_BOOLEANS),
    (PATCH, "name", (None, "", "x" * 65, 1)),
    (PATCH, "version", (7,)),
]
REQUIRED = [
    *((RIDES, name) for name in ("pickup", "pickup.latitude", "pickup.longitude")),
    *((POSITION, name) for name in ("latitude", "longitude")),
    (AVAILABILITY, "available"),
    *((ENROLL, name) for name in ("name", "color", "gender", "location.latitude")),
]
MALFORMED = {
    "nothing but a brace": b"{",
    "a trailing comma": b'{"a":1,}',
    "two values": b"{} {}",
    "NaN": b'{"pickup":{"latitude":NaN,"longitude":1}}',
    "Infinity": b'{"latitude":-Infinity}',
    "a number beyond floats": b'{"latitude":1e400}',
    "an integer of 5000 digits": b'{"latitude":' + b"9" * 5000 + b"}",
    "duplicate names": b'{"pickup":1,"pickup":2}',
    "nested duplicate names": b'{"pickup":{"latitude":1,"latitude":2}}',
    "invalid UTF-8": b'{"note":"\xff"}',
    "UTF-16": '{"note":"x"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "deep arrays": b'{"x":' + b"[" * 16_000,
    "deep objects": b'{"x":' * 3_000,
    "a raw control character": b'{"note":"\n"}',
}


@pytest.fixture
def api() -> Api:
    api = build_api()
    api.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    return api


def send(api: Api, target: Target, data: bytes, **headers: str) -> Any:
    method, path, token = target
    return api.call(method, path, token=token, data=data, headers={"If-Match": "*"} | headers)


def changed(target: Target, field: str, value: Any) -> dict[str, Any]:
    """The good body with one field set to `value`, or taken out if that is `...`."""
    body = json.loads(json.dumps(GOOD[target]))
    *parents, name = field.split(".")
    inner = body
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[name]
    else:
        inner[name] = value
    return body


def stored(api: Api) -> object:
    return (
        api.ports.rides.list_of_rider("rider-1", status=None, limit=9, start=None).items,
        api.ports.unicorns.get("u1"),
        api.ports.unicorns.get("u2"),
        api.ports.fleet.position("u1", api.clock[0]),
    )


def assert_refused(api: Api, answer: Any, status: int, reason: str) -> None:
    assert (answer.status_code, answer.json["reason"]) == (status, reason)
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == status
    assert stored(api) == ((), a_unicorn(account_sub="driver-1"), None, None)


@pytest.mark.parametrize(("target", "field", "values"), BAD_FIELDS)
def test_a_bad_value_is_named_by_its_field(
    api: Api, target: Target, field: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        answer = send(api, target, json.dumps(changed(target, field, value)).encode())
        assert_refused(api, answer, 422, "validation_failed")
        assert [fault["field"] for fault in answer.json["errors"]] == [field], value


@pytest.mark.parametrize(("target", "field"), REQUIRED)
def test_a_missing_field_is_named(api: Api, target: Target, field: str) -> None:
    answer = send(api, target, json.dumps(changed(target, field, ...)).encode())
    assert_refused(api, answer, 422, "validation_failed")
    assert [fault["field"] for fault in answer.json["errors"]] == [field]


def test_every_fault_of_a_body_is_named(api: Api) -> None:
    body = {"pickup": {"latitude": 91, "lng": 1}, "note": 1, "extra": None}
    answer = send(api, RIDES, json.dumps(body).encode())
    assert {fault["field"] for fault in answer.json["errors"]} == {
        *("pickup.latitude", "pickup.longitude", "pickup.lng", "note", "extra")
    }


def test_a_long_name_in_a_body_is_repeated_in_part(api: Api) -> None:
    answer = send(api, RIDES, json.dumps({"x" * 500: 1}).encode())
    assert "x" * 200 in {fault["field"] for fault in answer.json["errors"]}


@pytest.mark.parametrize("target", ROUTES)
@pytest.mark.parametrize("data", [b"[]", b"null", b'"x"', b"1", b"true", b'[{"pickup":1}]'])
def test_a_body_must_be_an_object(api: Api, target: Target, data: bytes) -> None:
    answer = send(api, target, data)
    assert_refused(api, answer, 422, "validation_failed")
    assert answer.json["errors"] == [{"field": "body", "message": "Input should be an object"}]


@pytest.mark.parametrize("target", ROUTES)
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_json_is_400(api: Api, target: Target, data: bytes) -> None:
    assert_refused(api, send(api, target, data), 400, "malformed_body")


@pytest.mark.parametrize("target", ROUTES)
def test_a_body_beyond_16_kib_is_413(api: Api, target: Target) -> None:
    good = json.dumps(GOOD[target]).encode()
    assert_refused(api, send(api, target, good.ljust(16 * 1024 + 1)), 413, "body_too_large")


def test_a_body_of_exactly_16_kib_is_read(api: Api) -> None:
    good = json.dumps(GOOD[RIDES]).encode().ljust(16 * 1024)
    assert send(api, RIDES, good).status_code == 202


@pytest.mark.parametrize("target", ROUTES)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]
)
def test_another_content_type_is_415(api: Api, target: Target, content_type: str) -> None:
    good = json.dumps(GOOD[target]).encode() or b"{}"
    answer = send(api, target, good, **{"Content-Type": content_type})
    assert_refused(api, answer, 415, "unsupported_media_type")


def test_utf_8_may_be_named_as_charset(api: Api) -> None:
    good = json.dumps(GOOD[RIDES]).encode()
    answer = send(api, RIDES, good, **{"Content-Type": "application/json; charset=utf-8"})
    assert answer.status_code == 202


@pytest.mark.parametrize("target", [RIDES, POSITION, AVAILABILITY, ENROLL, PATCH])
def test_a_body_with_required_fields_cannot_be_left_out(api: Api, target: Target) -> None:
    method, path, token = target
    answer = api.call(method, path, token=token)
    assert_refused(api, answer, 415, "unsupported_media_type")


def test_numbers_too_small_for_the_store_are_zero(api: Api) -> None:
    answer = send(api, RIDES, b'{"pickup":{"latitude":1e-300,"longitude":-4.9e-324}}')
    assert answer.json["pickup"] == {"latitude": 0.0, "longitude": 0.0}


def test_a_body_of_nothing_but_mistakes_gets_a_bounded_answer(api: Api) -> None:
    body = {f"{n}{'x' * 300}": n for n in range(50)}
    answer = send(api, RIDES, json.dumps(body).encode())
    assert answer.status_code == 422
    assert len(answer.data) < 20_000


def test_a_name_no_text_can_hold_is_refused(api: Api) -> None:
    answer = send(api, RIDES, b'{"pickup":{"latitude":1,"longitude":2},"\\ud800":1}')
    assert_refused(api, answer, 422, "validation_failed")
