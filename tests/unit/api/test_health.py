"""Alive and ready."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from service.api import health
from tests.support.api import build_api


def good() -> bool:
    return True


def bad() -> bool:
    return False


def broken() -> bool:
    raise OSError("refused")


def test_health_runs_no_probe() -> None:
    api = build_api(probes={"dynamodb": broken, "redis": broken})
    answer = api.call("GET", "/healthz", token=None)
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("probes", "status", "body"),
    [
        ({"dynamodb": good, "keys": good, "redis": good}, 200, ("ready", [])),
        ({"dynamodb": good, "keys": good, "redis": broken}, 200, ("degraded", ["redis"])),
        ({"dynamodb": broken, "keys": good, "redis": good}, 503, ("unavailable", ["dynamodb"])),
        ({"dynamodb": good, "keys": bad, "redis": good}, 503, ("unavailable", ["keys"])),
        (
            {"dynamodb": bad, "keys": good, "redis": bad},
            503,
            ("unavailable", ["dynamodb", "redis"]),
        ),
    ],
)
def test_readiness_names_what_fails(
    probes: dict[str, health.Probe], status: int, body: tuple[str, list[str]]
) -> None:
    answer = build_api(probes=probes).call("GET", "/readyz", token=None)
    assert answer.status_code == status
    assert answer.json == {"status": body[0], "failing": body[1]}
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    release = threading.Event()
    yield release
    release.set()


def test_a_probe_that_hangs_is_failing_and_runs_once(
    monkeypatch: pytest.MonkeyPatch, hanging: threading.Event
) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.01)
    runs = []

    def hang() -> bool:
        runs.append(1)
        return hanging.wait()

    api = build_api(probes={"dynamodb": hang, "redis": good})
    for _ in range(3):
        answer = api.call("GET", "/readyz", token=None)
        assert answer.json["failing"] == ["dynamodb"]
    assert len(runs) == 1


def test_a_part_that_recovers_is_ready_again() -> None:
    answers = iter([False, True])
    api = build_api(probes={"dynamodb": lambda: next(answers)})
    assert api.call("GET", "/readyz").status_code == 503
    assert api.call("GET", "/readyz").status_code == 200
