"""Callers who come too often, on their own or from one address."""

from __future__ import annotations

import logging

import pytest
from pydantic import ValidationError

from service.auth.errors import InvalidToken
from service.auth.principal import Principal
from service.http.limits import MOST_COUNTED, Limit, Limiter
from service.settings import ApiSettings
from tests.support.api import SETTINGS, Api, build_api

NOW = 1_700_000_000.0
"""20 seconds into a minute."""


def statuses(api: Api, times: int, **call: object) -> list[int]:
    return [api.call("GET", "/v1/rides", **call).status_code for _ in range(times)]


def test_a_subject_that_comes_too_often_has_to_wait_for_the_next_span() -> None:
    api = build_api(rate_limit_subject="2/minute")
    assert statuses(api, 3) == [200, 200, 429]
    assert statuses(api, 1, token="other") == [200]
    api.pass_time(60)
    assert statuses(api, 1) == [200]


def test_an_address_that_comes_too_often_has_to_wait_whoever_it_is() -> None:
    api = build_api(rate_limit_address="2/minute")
    assert statuses(api, 2) == [200, 200]
    assert statuses(api, 1, token="other") == [429]


def test_the_answer_says_how_often_and_when_again() -> None:
    api = build_api(rate_limit_subject="1/minute")
    answer = api.call("GET", "/v1/rides")
    assert answer.headers["RateLimit-Policy"] == '"subject";q=1;w=60'
    assert answer.headers["RateLimit"] == '"subject";r=0;t=32'
    answer = api.call("GET", "/v1/rides")
    assert (answer.status_code, answer.json["reason"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == "32"
    assert answer.headers["RateLimit"] == '"subject";r=0;t=32'
    assert answer.content_type == "application/problem+json"
    assert "WWW-Authenticate" not in answer.headers


def test_failed_authentication_is_limited_by_address_and_good_tokens_pass() -> None:
    api = build_api(rate_limit_failures="2/minute")
    assert statuses(api, 1, token="forged") == [401]
    assert statuses(api, 1, token=None) == [401]
    assert statuses(api, 1, token="forged") == [429]
    assert statuses(api, 1) == [200]


def test_the_limit_comes_after_authentication_and_before_the_body() -> None:
    api = build_api(rate_limit_subject="1/minute")
    statuses(api, 1)
    huge = b"{" + b" " * 17_000
    assert api.call("POST", "/v1/rides", token=None, data=huge).status_code == 401
    assert api.call("POST", "/v1/rides", data=huge).status_code == 429
    assert api.call("PUT", "/v1/rides", data=huge).status_code == 405
    assert api.call("GET", "/v1/nothing").status_code == 404


def test_limits_can_be_turned_off() -> None:
    api = build_api(rate_limit_enabled=False, rate_limit_subject="1/minute")
    assert statuses(api, 3) == [200, 200, 200]
    assert "RateLimit" not in api.call("GET", "/v1/rides").headers


@pytest.mark.parametrize("text", ["", "0/minute", "10", "10/fortnight", "-1/minute", "1/minute,"])
def test_a_malformed_limit_is_refused_at_start(text: str) -> None:
    with pytest.raises(ValidationError, match="rate_limit_subject"):
        build_api(rate_limit_subject=text)


def test_only_as_many_callers_are_counted_as_fit_in_memory() -> None:
    limit = Limit("subject", 1, 60)
    for number in range(MOST_COUNTED + 5):
        limit.count(str(number), NOW)
    assert not limit.count("0", NOW).is_exceeded, "the one who has not come for longest"
    assert limit.count(str(MOST_COUNTED), NOW).is_exceeded


def test_a_busy_caller_is_not_forgotten_for_strangers() -> None:
    limit = Limit("failures", 1, 60)
    limit.count("busy", NOW)
    for number in range(MOST_COUNTED - 1):
        limit.count(str(number), NOW)
    limit.count("busy", NOW)
    for number in range(MOST_COUNTED - 1):
        limit.count(f"other {number}", NOW)
    assert limit.count("busy", NOW).used == 3


def test_looking_at_failures_counts_none() -> None:
    limiter = Limiter(ApiSettings(**SETTINGS))
    limiter.refused("a", NOW)
    assert [limiter.failures("a", NOW).used for _ in range(3)] == [1, 1, 1]
    assert limiter.failures("a", NOW + 60).used == 0


def test_a_clock_that_is_set_back_begins_another_window() -> None:
    limiter = Limiter(ApiSettings(**SETTINGS, rate_limit_subject="1/minute"))
    limiter.admitted("s", "a", NOW)
    assert not limiter.admitted("s", "a", NOW - 3600).is_exceeded
    assert limiter.admitted("s", "a", NOW - 3600).is_exceeded


def test_a_limited_caller_is_in_the_audit_log(caplog: pytest.LogCaptureFixture) -> None:
    api = build_api(rate_limit_subject="1/minute")
    with caplog.at_level(logging.INFO, "service.audit"):
        statuses(api, 2)
    (line,) = [record for record in caplog.records if record.name == "service.audit"]
    assert (line.message, line.reason, line.sub) == ("refused", "rate_limited", "rider-1")


class CountingRoles:
    """Refuses every credential, as STS would, and counts how often it is asked."""

    asked = 0

    def verify(self, credential: str, now: float) -> Principal:
        self.asked += 1
        raise InvalidToken("not a role that may call")


def test_an_address_that_was_refused_too_often_is_stopped_before_sts_is_asked() -> None:
    roles = CountingRoles()
    api = build_api(rate_limit_failures="3/minute", iam=roles)
    headers = {"Authorization": "WildRydes-IAM other"}
    seen = [api.call("GET", "/v1/rides", token=None, headers=headers).status_code for _ in range(6)]
    assert seen == [401, 401, 401, 429, 429, 429]
    assert roles.asked == 3
