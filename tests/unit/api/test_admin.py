"""Enrolling unicorns and putting them on or off duty."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from service.core.errors import WriteConflict
from tests.api import Api
from tests.builders import a_unicorn

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
