"""Revoking tokens, and what a revoked one is answered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from service.auth.revocation import PoolSignOut
from service.model.errors import Unavailable
from tests.support import api as helpers
from tests.support.api import Api, a_principal, build_api
from tests.support.builders import NOW
from tests.support.fakes_oversight import FakeRevocations

PATH = "/v1/admin/revocations"


class Gone(FakeRevocations):
    """Neither store answers."""

    def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        raise Unavailable("gone")


def revoke(api: Api, body: Any) -> Any:
    return api.call("POST", PATH, body, token="admin")


@pytest.fixture(autouse=True)
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rider who has just signed in, and the same one's older session."""
    now = int(NOW.timestamp())
    identifiers = {"jti": "jti-2", "origin_jti": "session-2", "auth_time": now}
    monkeypatch.setitem(helpers.PRINCIPALS, "rider", a_principal(**identifiers))
    monkeypatch.setitem(helpers.PRINCIPALS, "driver", a_principal("driver-1", jti="jti-3"))


@pytest.mark.parametrize(
    "body", [{"jti": "jti-2"}, {"origin_jti": "session-2"}, {"sub": "rider-1"}]
)
def test_a_revoked_token_is_refused_like_any_bad_one(api: Api, body: dict[str, str]) -> None:
    assert api.call("GET", "/v1/rides").status_code == 200
    answer = revoke(api, body)
    assert (answer.status_code, answer.data) == (204, b"")
    refused = api.call("GET", "/v1/rides")
    forged = api.call("GET", "/v1/rides", token="forged")
    assert (refused.status_code, refused.json["reason"]) == (401, "invalid_token")
    assert refused.headers["WWW-Authenticate"] == forged.headers["WWW-Authenticate"]
    assert {**refused.json, "request_id": ""} == {**forged.json, "request_id": ""}
    assert api.call("GET", "/v1/rides", token="other").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sub": "a", "jti": "b"},
        {"sub": None},
        {"sub": ""},
        {"sub": "a" * 641},
        {"sub": "a b"},
        {"sub": "é"},
        {"sub": 1},
        {"username": "a"},
    ],
)
def test_exactly_one_name_is_revoked(api: Api, body: dict[str, object]) -> None:
    answer = revoke(api, body)
    assert (answer.status_code, answer.json["reason"]) == (422, "validation_failed")


@pytest.mark.parametrize(
    ("kind", "lifetime"),
    [
        ("jti", timedelta(hours=24, seconds=60)),
        ("origin_jti", timedelta(days=30)),
        ("sub", timedelta(days=30)),
    ],
)
def test_a_revocation_is_remembered_until_its_last_token_has_ended(
    kind: str, lifetime: timedelta
) -> None:
    revocations = FakeRevocations()
    revoke(build_api(revocations=revocations), {kind: "x"})
    just_before = NOW + lifetime - timedelta(seconds=1)
    assert revocations.lookup({kind: "x"}, just_before) == {kind: NOW}
    assert revocations.lookup({kind: "x"}, NOW + lifetime) == {}


def test_while_revocations_are_unknown_reads_pass_and_the_rest_is_503() -> None:
    api = build_api(revocations=Gone())
    assert api.call("GET", "/v1/rides").status_code == 200
    for answer in (
        api.call("POST", "/v1/rides", {"pickup": {"latitude": 1, "longitude": 2}}),
        api.call("GET", "/v1/admin/unicorns/u1", token="admin"),
        revoke(api, {"jti": "x"}),
    ):
        assert (answer.status_code, answer.json["reason"]) == (503, "auth_unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert "WWW-Authenticate" not in answer.headers


def test_a_revocation_leaves_an_audit_line(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "service.audit"):
        revoke(api, {"sub": "rider-1"})
    (line,) = [record for record in caplog.records if record.name == "service.audit"]
    assert (line.message, line.sub, line.kind, line.value) == (
        "revoked",
        "admin-1",
        "sub",
        "rider-1",
    )


class Pool:
    """A user pool that notes when it was asked."""

    def __init__(self, says: PoolSignOut = PoolSignOut.DONE, time: datetime | None = None) -> None:
        self.says = says
        self.time = time
        self.asked: list[str] = []
        self.api: Api | None = None

    def sign_out(self, sub: str) -> tuple[PoolSignOut, datetime | None]:
        self.asked.append(sub)
        if self.api:
            # What the pool issues before it answers must be refused, too.
            self.api.pass_time(1)
        return self.says, self.time


def test_a_subject_is_signed_out_at_the_pool_before_the_instant_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = Pool()
    api = pool.api = build_api(pool=pool)
    revoke(api, {"sub": "rider-1"})
    assert pool.asked == ["rider-1"]
    issued = int(NOW.timestamp()) + 1
    raced = a_principal(jti="jti-9", auth_time=issued, issued_at=issued)
    monkeypatch.setitem(helpers.PRINCIPALS, "raced", raced)
    assert api.call("GET", "/v1/rides", token="raced").status_code == 401


@pytest.mark.parametrize("ahead", [-20, 20])
def test_of_a_pool_whose_clock_is_off_only_tokens_of_before_the_revocation_are_refused(
    ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ahead`: the seconds by which the pool's clock, which dates tokens, is ahead."""
    pool_time = (NOW + timedelta(seconds=ahead)).replace(microsecond=0)
    api = build_api(pool=Pool(time=pool_time))
    issued = int(pool_time.timestamp())
    revoke(api, {"sub": "rider-1"})
    before = a_principal(jti="jti-8", auth_time=issued, issued_at=issued)
    monkeypatch.setitem(helpers.PRINCIPALS, "before", before)
    assert api.call("GET", "/v1/rides", token="before").status_code == 401
    issued = max(issued, int(NOW.timestamp())) + 1
    after = a_principal(jti="jti-9", auth_time=issued, issued_at=issued)
    monkeypatch.setitem(helpers.PRINCIPALS, "after", after)
    assert api.call("GET", "/v1/rides", token="after").status_code == 200


@pytest.mark.parametrize("kind", ["jti", "origin_jti"])
def test_revoking_a_token_or_a_sign_in_does_not_concern_the_pool(kind: str) -> None:
    pool = Pool()
    revoke(build_api(pool=pool), {kind: "some"})
    assert pool.asked == []


@pytest.mark.parametrize("says", PoolSignOut)
def test_the_result_of_the_sign_out_is_logged_and_the_token_is_revoked_anyway(
    says: PoolSignOut, caplog: pytest.LogCaptureFixture
) -> None:
    api = build_api(pool=Pool(says))
    with caplog.at_level(logging.INFO, "service.audit"):
        revoke(api, {"sub": "rider-1"})
    (line,) = [record for record in caplog.records if record.getMessage() == "revoked"]
    assert line.__dict__["at_the_pool"] == says
    assert api.call("GET", "/v1/rides", token="rider").status_code == 401


def test_a_staff_write_that_failed_leaves_a_line_because_it_may_have_been_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class StoredAndSilent(FakeRevocations):
        def put(self, *args: Any, **options: Any) -> None:
            super().put(*args, **options)
            raise Unavailable("the answer was lost")

    api = build_api(revocations=StoredAndSilent())
    with caplog.at_level(logging.INFO, "service.audit"):
        assert revoke(api, {"jti": "some"}).status_code == 503
    (line,) = [record for record in caplog.records if record.getMessage() == "outcome unknown"]
    assert line.__dict__["route"] == PATH
    assert line.__dict__["sub"] == helpers.PRINCIPALS["admin"].subject


def test_a_read_that_failed_leaves_none(caplog: pytest.LogCaptureFixture) -> None:
    api = build_api(revocations=Gone())
    with caplog.at_level(logging.INFO, "service.audit"):
        assert api.call("GET", "/v1/admin/unicorns", token="admin").status_code == 503
    assert "outcome unknown" not in caplog.messages
