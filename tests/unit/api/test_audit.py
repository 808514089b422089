"""Each refusal leaves one log line and is counted; a client can write into neither."""

from __future__ import annotations

import logging

import pytest

from service.auth.principal import TokenKind
from service.http.audit import audit
from service.observability.instruments import REFUSALS
from tests.support import api as helpers
from tests.support.api import Api, a_principal, build_api


def counted(reason: str) -> float:
    (family,) = REFUSALS.collect()
    return sum(
        sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels == {"reason": reason}
    )


@pytest.mark.parametrize(
    ("token", "reason", "cause", "sub"),
    [
        (None, "missing_token", "no bearer credentials", None),
        ("a b", "malformed_header", "not exactly one bearer token", None),
        ("forged", "invalid_token", "unknown", None),
        ("machine", "forbidden", "a machine token", "m-1"),
        ("poor", "insufficient_scope", "wildrydes/rides.read", "p-1"),
    ],
)
def test_a_refusal_leaves_one_line_and_is_counted(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    token: str | None,
    reason: str,
    cause: str,
    sub: str | None,
) -> None:
    machine, poor = (
        a_principal("m-1", kind=TokenKind.MACHINE),
        a_principal("p-1", scopes=frozenset()),
    )
    monkeypatch.setitem(helpers.PRINCIPALS, "machine", machine)
    monkeypatch.setitem(helpers.PRINCIPALS, "poor", poor)
    before = counted(reason)
    with caplog.at_level(logging.INFO, audit.name):
        api.call("GET", "/v1/rides", token=token)
    (line,) = [record for record in caplog.records if record.name == audit.name]
    assert (line.message, line.reason, line.cause, line.sub) == ("refused", reason, cause, sub)
    assert (line.method, line.route, line.address) == ("GET", "/v1/rides", "127.0.0.1")
    assert counted(reason) == before + 1


def test_the_route_is_ours_and_not_the_path_that_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, audit.name):
        build_api().call("GET", "/v1/rides/level-ERROR?access_token=secret", token="forged")
    (line,) = [record for record in caplog.records if record.name == audit.name]
    assert line.route == "/v1/rides/<ride_id>"
    assert "secret" not in str(line.__dict__)
