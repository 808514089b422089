"""A process reports whether it hears unicorns, also after failures."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.auth.errors import AuthUnavailable, NotCheckedNow
from service.core.ports import Rules
from service.hearing import MOST_REFUSED, HearingReports
from service.model.errors import Unavailable
from tests.support.api import Api, build_api
from tests.support.builders import NOW, a_usable_unicorn
from tests.support.fakes_redis import FakeFleetIndex
from tests.support.service import Service


class Heard(FakeFleetIndex):
    """Keeps the reports (deaf or not). Raises the given failures first."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.told: list[bool] = []
        self.enough = threading.Event()

    def report_hearing(self, process: str, now: datetime, *, is_deaf: bool = False) -> None:
        if self.failures:
            raise self.failures.pop()
        self.told.append(is_deaf)
        self.enough.set()


def hearing_on(fleet: FakeFleetIndex, **changes: Any) -> HearingReports:
    service = Service(fleet=fleet)
    service.unicorns.create(a_usable_unicorn(account_sub="driver-1"))
    ports = service.ports
    for name, value in changes.items():
        object.__setattr__(ports, name, value)
    return HearingReports(ports, lambda: NOW)


@pytest.mark.parametrize("failure", [Unavailable("away"), ValueError("a defect")])
def test_a_failed_report_does_not_end_the_reports_and_is_reported_as_deafness(
    failure: Exception,
) -> None:
    fleet = Heard(failure)
    hearing = hearing_on(fleet, rules=Rules(stale_after=timedelta(seconds=0.1)))
    hearing.begin()
    assert fleet.enough.wait(20)
    hearing.end()
    assert fleet.told[0] is True


def test_a_refused_driver_is_heard_all_the_same() -> None:
    fleet = Heard()
    hearing = hearing_on(fleet)
    hearing.refused("driver-1")
    hearing.refused("a rider who tries the routes of unicorns")
    hearing.report()
    assert fleet.told == [False]
    assert fleet._heard == fleet._refused == {"u1": NOW}


def test_a_refused_call_of_an_unknown_caller_is_reported_as_deafness_once() -> None:
    fleet = Heard()
    hearing = hearing_on(fleet)
    hearing.refused(None)
    hearing.report()
    hearing.report()
    assert fleet.told == [True, False]


def test_a_refused_driver_whose_unicorn_cannot_be_read_is_reported_as_deafness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = Heard()
    hearing = hearing_on(fleet)

    def away(_: str) -> str:
        raise Unavailable("DynamoDB is away")

    monkeypatch.setattr(hearing._ports.unicorns, "of_account", away)
    hearing.refused("driver-1")
    hearing.report()
    assert fleet.told == [True]


def test_too_many_refused_callers_are_reported_as_deafness() -> None:
    fleet = Heard()
    hearing = hearing_on(fleet)
    for number in range(2 * MOST_REFUSED):
        hearing.refused(f"stranger-{number}")
    assert len(hearing._refused) <= MOST_REFUSED + 1
    hearing.report()
    assert fleet.told == [True]


class Refusals(list[str | None]):
    """The refused calls that the API notes."""


def refusing_api(refusals: Refusals, **settings: Any) -> Api:
    api = build_api(refused=refusals.append, **settings)
    api.ports.unicorns.create(a_usable_unicorn(account_sub="driver-1"))
    return api


POSITION = ("PUT", "/v1/fleet/me/position", {"latitude": 1, "longitude": 1})
BULK = ("POST", "/v1/fleet/positions", {"positions": []})


def test_a_rate_limited_driver_is_named_and_a_machine_is_not() -> None:
    refusals = Refusals()
    api = refusing_api(refusals, rate_limit_subject="1/minute")
    for token, call in (("driver", POSITION), ("machine", BULK)):
        for _ in range(2):
            api.call(*call, token=token)
    assert refusals == ["driver-1", None]


def test_a_stranger_who_is_refused_too_often_makes_nobody_deaf() -> None:
    refusals = Refusals()
    api = refusing_api(refusals, rate_limit_failures="1/minute")
    answers = [api.call(*POSITION, token="no such token").status_code for _ in range(3)]
    assert (answers, refusals) == ([400, 429, 429], [])


@pytest.mark.parametrize(
    ("cause", "told"), [(NotCheckedNow(1), (429, [])), (AuthUnavailable(1), (503, [None]))]
)
def test_credentials_that_anybody_can_make_uncheckable_make_nobody_deaf(
    cause: Exception, told: tuple[int, list[str | None]]
) -> None:
    """Otherwise a stranger could see to it that no silent unicorn ever loses its ride."""

    class Sts:
        def verify(self, *_: object) -> None:
            raise cause

    refusals = Refusals()
    api = refusing_api(refusals, iam=Sts())
    answer = api.call(*BULK, token=None, headers={"Authorization": "WildRydes-IAM anything"})
    assert answer.headers["Retry-After"] == "1"
    assert (answer.status_code, refusals) == told


def test_an_unavailable_store_is_noted_as_a_refusal_and_a_bad_request_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = Refusals()
    api = refusing_api(refusals)

    def away(*_: object) -> None:
        raise Unavailable("Redis is away")

    api.call("PUT", "/v1/fleet/me/position", {"latitude": 100, "longitude": 1}, token="driver")
    api.call(*POSITION, token="no such token")
    api.call(*POSITION, token="rider")
    monkeypatch.setattr(api.ports.fleet, "record", away)
    api.call(*POSITION, token="driver")
    api.call("GET", "/v1/rides", token="rider")
    assert refusals == ["driver-1"]
