"""The service's time is the middle one of three clocks, whatever one of them says."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from service.clock import BOUND, REDIS, Clock
from service.model.errors import Unavailable


@dataclass
class Host:
    """A host and what it can read. `off`: seconds by which each clock is wrong."""

    seconds: float = 1_000_000.0
    off: dict[str, float] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)

    def wall(self) -> float:
        return self.seconds + self.off.get("host", 0.0)

    def monotonic(self) -> float:
        return self.seconds - 999_000.0

    def source(self, name: str) -> float | None:
        if name in self.away:
            raise Unavailable(f"{name} is away")
        return self.seconds + self.off.get(name, 0.0) - self.monotonic()

    def clock(self) -> Clock:
        names = ("redis", "dynamodb")
        sources = {name: (lambda name=name: self.source(name)) for name in names}
        clock = Clock(sources, self.wall, self.monotonic)
        clock.read()
        return clock


def error(host: Host, clock: Clock) -> float:
    return clock.now().timestamp() - host.seconds


@pytest.mark.parametrize("name", ["host", "redis", "dynamodb"])
@pytest.mark.parametrize("seconds", [2, -2, 60, -60, 3600, -3600])
def test_one_wrong_clock_changes_nothing_and_is_reported_beyond_the_bound(
    name: str, seconds: float
) -> None:
    host = Host(off={name: seconds})
    clock = host.clock()
    assert error(host, clock) == pytest.approx(0, abs=1e-3)
    assert clock.is_within_bound() == (abs(seconds) <= BOUND.total_seconds())


@pytest.mark.parametrize("seconds", [60, -60, 3600])
def test_jobs_expire_by_one_clock_even_if_it_is_wrong(seconds: float) -> None:
    """The main processes of workers, which expire jobs, read only the clock of Redis."""
    host = Host(off={REDIS: seconds})
    publisher = host.clock()
    judge = Clock({REDIS: lambda: host.source(REDIS)}, host.wall, host.monotonic)
    judge.read()
    assert publisher.by(REDIS) == judge.now()


@pytest.mark.parametrize("name", ["redis", "dynamodb"])
def test_of_two_clocks_that_of_no_host_counts(name: str) -> None:
    """All processes share it."""
    host = Host(off={"host": 60})
    clock = Clock({name: lambda: host.source(name)}, host.wall, host.monotonic)
    clock.read()
    assert error(host, clock) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("seconds", [2, -2, 60, -60])
def test_hosts_that_disagree_agree_on_the_time(seconds: float) -> None:
    one, other = Host(), Host(off={"host": seconds})
    difference = one.clock().now() - other.clock().now()
    assert abs(difference.total_seconds()) < 1e-3


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_jump_of_the_hosts_clock_is_not_noticed(seconds: float) -> None:
    host = Host()
    clock = host.clock()
    host.seconds += 4
    host.off["host"] = seconds
    assert error(host, clock) == pytest.approx(0, abs=1e-3)
    clock.read()
    assert error(host, clock) == pytest.approx(0, abs=1e-3)
    assert not clock.is_within_bound()
    host.off.clear()
    clock.read()
    assert clock.is_within_bound()


def test_the_last_reading_of_a_clock_that_does_not_answer_is_kept() -> None:
    host = Host(off={"host": 60})
    clock = host.clock()
    host.away = {"redis", "dynamodb"}
    host.seconds += 100
    clock.read()
    assert error(host, clock) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("away", ["redis", "dynamodb"])
def test_of_two_clocks_the_shared_one_counts(away: str) -> None:
    host = Host(off={"host": 60}, away={away})
    assert error(host, host.clock()) == pytest.approx(0, abs=1e-3)


def test_alone_a_host_has_only_its_own_clock() -> None:
    host = Host(away={"redis", "dynamodb"})
    clock = host.clock()
    assert clock.by(REDIS) == clock.now()
    assert error(host, clock) == pytest.approx(0, abs=1e-3)
    assert clock.is_within_bound()
