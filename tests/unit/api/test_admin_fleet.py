"""Enrolling unicorns and putting them on or off duty."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from service.core.ports import WriteConflict
from tests.support.api import Api
from tests.support.builders import a_matched_pair, a_ride, a_unicorn, a_usable_unicorn

NEW = {"name": "Shadowfax", "color": "White", "gender": "Male"}


def call(api: Api, method: str, path: str, body: Any = None, **headers: str) -> Any:
    return api.call(method, f"/v1/admin/unicorns{path}", body, token="admin", headers=headers)


def test_a_new_unicorn_is_off_duty(api: Api) -> None:
    answer = call(api, "POST", "", NEW)
    unicorn_id = answer.json["unicorn_id"]
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/admin/unicorns/{unicorn_id}"
    assert answer.headers["ETag"] == '"1"'
    assert (answer.json["state"], answer.json["accepting"]) == ("non_operational", False)
    assert call(api, "GET", f"/{unicorn_id}").json == answer.json


def test_its_location_counts_as_a_position_now(api: Api) -> None:
    here = {"latitude": 40.7, "longitude": -74.0}
    answer = call(api, "POST", "", NEW | {"unicorn_id": "u1", "location": here})
    assert answer.json["location"] == here
    assert answer.json["position_at"] == "2026-11-23T02:46:28.123Z"


def test_an_id_and_an_account_are_given_once(api: Api) -> None:
    call(api, "POST", "", NEW | {"unicorn_id": "u1", "account_sub": "driver-1"})
    again = call(api, "POST", "", NEW | {"unicorn_id": "u1"})
    assert (again.status_code, again.json["reason"]) == (409, "unicorn_exists")
    taken = call(api, "POST", "", NEW | {"unicorn_id": "u2", "account_sub": "driver-1"})
    assert (taken.status_code, taken.json["reason"]) == (409, "account_taken")
    assert call(api, "GET", "/u2").status_code == 404


BAD_NAMES = {
    "a line break": "Shadow\nfax",
    "a terminal's escape": "\x1b[31mfax",
    "a C1 control": "a\x9bb",
    "a line separator": "a\u2028b",
    "text turned round": "\u202exafwodahS",
    "an isolate": "a\u2066b\u2069",
    "spaces only": "  ",
    "zero width only": "\u200b\u200d\ufeff",
    "blanks of other scripts": "\u3164\u2800\xad",
    "a variation selector": "\ufe0f",
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
@pytest.mark.parametrize("field", ["name", "color", "gender"])
def test_a_name_that_nobody_could_read_is_refused(api: Api, field: str, name: str) -> None:
    api.ports.unicorns.create(a_unicorn())
    for answer in (
        call(api, "POST", "", NEW | {field: name}),
        call(api, "PATCH", "/u1", {field: name}, **{"If-Match": "*"}),
    ):
        assert answer.status_code == 422
        assert answer.json["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "name", ["می\u200cخواهم", "👩\u200d🚀", "❤️", "क\u200dष", "\U0001fae8", "Żółw", "שדופקס"]
)
def test_a_name_of_any_script_is_taken(api: Api, name: str) -> None:
    assert call(api, "POST", "", NEW | {"name": name}).json["name"] == name


def test_a_change_must_name_the_version_it_is_based_on(api: Api) -> None:
    api.ports.unicorns.create(a_unicorn())
    answer = call(api, "PATCH", "/u1", {"accepting": True})
    assert (answer.status_code, answer.json["reason"]) == (428, "precondition_required")


@pytest.mark.parametrize("tag", ['"2"', 'W/"1"', "nonsense", '"1', ""])
def test_a_change_of_another_version_is_refused(api: Api, tag: str) -> None:
    api.ports.unicorns.create(a_unicorn())
    answer = call(api, "PATCH", "/u1", {"accepting": True}, **{"If-Match": tag})
    assert (answer.status_code, answer.json["reason"]) == (412, "precondition_failed")
    assert api.ports.unicorns.get("u1") == a_unicorn()


@pytest.mark.parametrize("tag", ['"1"', '"7", "1"', "*"])
def test_a_change_of_the_version_seen_is_made(api: Api, tag: str) -> None:
    api.ports.unicorns.create(a_unicorn())
    answer = call(api, "PATCH", "/u1", {"accepting": True}, **{"If-Match": tag})
    assert (answer.status_code, answer.json["state"]) == (200, "available")
    assert answer.headers["ETag"] == '"2"'


def test_a_change_that_was_overtaken_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.ports.unicorns.create(a_unicorn())

    def overtaken(*_: object) -> None:
        raise WriteConflict(unicorn=a_unicorn(version=2))

    monkeypatch.setattr(api.ports.unicorns, "save", overtaken)
    answer = call(api, "PATCH", "/u1", {"accepting": True}, **{"If-Match": '"1"'})
    assert (answer.status_code, answer.json["reason"]) == (412, "precondition_failed")


def test_each_write_leaves_an_audit_line(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "service.audit"):
        call(api, "POST", "", NEW | {"unicorn_id": "u1"})
        call(api, "PATCH", "/u1", {"accepting": True}, **{"If-Match": "*"})
    lines = [record for record in caplog.records if record.name == "service.audit"]
    assert [(line.message, line.unicorn_id) for line in lines] == [
        ("unicorn enrolled", "u1"),
        ("unicorn changed", "u1"),
    ]
    assert {(line.sub, line.client_id, line.jti) for line in lines} == {
        ("admin-1", "client", "jti")
    }
    assert [line.route for line in lines] == [
        "/v1/admin/unicorns",
        "/v1/admin/unicorns/<unicorn_id>",
    ]


def test_the_fleet_is_listed_page_by_page(api: Api) -> None:
    for number in range(5):
        api.ports.unicorns.create(a_unicorn(unicorn_id=f"u{number}"))
    found, cursor = [], ""
    while cursor is not None:
        page = call(api, "GET", f"?limit=2{cursor and f'&cursor={cursor}'}").json
        assert len(page["unicorns"]) <= 2
        found += [unicorn["unicorn_id"] for unicorn in page["unicorns"]]
        cursor = page["next_cursor"]
    assert found == [f"u{number}" for number in range(5)]


def test_a_listed_unicorn_has_the_fields_of_a_single_one(api: Api) -> None:
    here = {"latitude": 40.7, "longitude": -74.0}
    call(api, "POST", "", NEW | {"unicorn_id": "u1", "location": here})
    assert call(api, "GET", "").json["unicorns"] == [call(api, "GET", "/u1").json]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor="])
def test_a_bad_listing_is_422(api: Api, query: str) -> None:
    assert call(api, "GET", f"?{query}").status_code == 422


def test_particulars_are_changed_in_one_step(api: Api) -> None:
    api.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    body = {"name": "Silver", "account_sub": None, "auto_accept": False, "accepting": True}
    answer = call(api, "PATCH", "/u1", body, **{"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert {name: answer.json[name] for name in body} == body
    assert (answer.json["color"], answer.json["state"]) == ("White", "available")
    assert api.ports.unicorns.of_account("driver-1") is None


def test_a_change_of_nothing_is_no_new_version(api: Api) -> None:
    api.ports.unicorns.create(a_unicorn())
    answer = call(api, "PATCH", "/u1", {"name": "Shadowfax"}, **{"If-Match": "*"})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')


def test_an_account_is_not_given_to_two(api: Api) -> None:
    api.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    api.ports.unicorns.create(a_unicorn(unicorn_id="u2"))
    answer = call(api, "PATCH", "/u2", {"account_sub": "driver-1"}, **{"If-Match": "*"})
    assert (answer.status_code, answer.json["reason"]) == (409, "account_taken")


def test_an_empty_change_is_422(api: Api) -> None:
    api.ports.unicorns.create(a_unicorn())
    assert call(api, "PATCH", "/u1", {}, **{"If-Match": "*"}).status_code == 422
    assert call(api, "PATCH", "/u1", **{"If-Match": "*"}).status_code == 415


@pytest.mark.parametrize("tag", ['"1"', '"7", "1"', "*"])
def test_a_removed_unicorn_is_out_of_the_fleet_for_good(api: Api, tag: str) -> None:
    api.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    answer = call(api, "DELETE", "/u1", **{"If-Match": tag})
    assert (answer.status_code, answer.data) == (204, b"")
    assert call(api, "GET", "/u1").json["state"] == "removed"
    assert api.ports.unicorns.of_account("driver-1") is None
    again = call(api, "POST", "", NEW | {"unicorn_id": "u1"})
    assert (again.status_code, again.json["reason"]) == (409, "unicorn_exists")
    changed = call(api, "PATCH", "/u1", {"accepting": True}, **{"If-Match": "*"})
    assert (changed.status_code, changed.json["reason"]) == (409, "illegal_transition")


def test_a_removal_must_name_the_version_it_is_based_on(api: Api) -> None:
    api.ports.unicorns.create(a_unicorn())
    assert call(api, "DELETE", "/u1").status_code == 428
    assert call(api, "DELETE", "/u1", **{"If-Match": '"2"'}).status_code == 412
    assert call(api, "DELETE", "/u1", **{"If-Match": 'W/"1"'}).status_code == 412
    assert call(api, "DELETE", "/u2", **{"If-Match": '"1"'}).status_code == 404
    assert call(api, "DELETE", "/u2", **{"If-Match": "*"}).status_code == 404
    assert api.ports.unicorns.get("u1") == a_unicorn()


def test_a_unicorn_with_a_ride_is_not_removed(api: Api) -> None:
    _, unicorn = a_matched_pair(a_ride(), a_usable_unicorn())
    api.ports.unicorns.create(unicorn)
    answer = call(api, "DELETE", "/u1", **{"If-Match": "*"})
    assert (answer.status_code, answer.json["reason"]) == (409, "unicorn_busy")
