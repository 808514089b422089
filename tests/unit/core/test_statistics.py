"""Time to match and busy share of the last hour."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.core.statistics import BOUNDS, Tally, count_unicorns, last_hour, wait_class
from service.model import UnicornState
from tests.support.builders import NOW, a_unicorn
from tests.support.fakes_redis import FakeCityMap, FakeStatistics
from tests.support.service import Service

MINUTE = timedelta(minutes=1)


def test_a_wait_is_counted_up_to_its_bound() -> None:
    assert [BOUNDS[wait_class(seconds)] for seconds in (0, 1, 1.01, 40, 660, 9999)] == [
        *(1, 1, 2, 45, 660, 660)
    ]


def test_quantiles_are_interpolated_between_the_bounds() -> None:
    waits = [0] * len(BOUNDS)
    waits[0], waits[3] = 5, 5  # up to one second, and from three to five
    tally = Tally(seconds=25.0, waits=tuple(waits))
    assert (tally.matches, tally.mean_seconds) == (10, 2.5)
    assert tally.quantile_seconds(0.5) == 1.0
    assert tally.quantile_seconds(0.9) == pytest.approx(4.6)
    assert tally.quantile_seconds(1.0) == 5.0


def test_without_matches_every_statistic_is_unknown() -> None:
    assert (Tally().mean_seconds, Tally().quantile_seconds(0.5), Tally().busy_share) == (
        *(None, None, None),
    )
    assert Tally(busy=0, on_duty=0).busy_share is None
    assert Tally(busy=0, on_duty=5).busy_share == 0.0


def test_the_last_hour_has_sixty_minutes_and_their_sum() -> None:
    statistics = FakeStatistics()
    for ago, seconds in ((0, 2.0), (59, 4.0), (60, 100.0)):
        statistics.matched(seconds, NOW - ago * MINUTE)
    statistics.counted(1, 4, NOW)
    statistics.counted(2, 4, NOW - MINUTE)
    statistics.counted(0, 0, NOW - 2 * MINUTE)
    hour = last_hour(statistics, NOW)
    minutes = list(hour.minutes)
    assert (len(minutes), minutes[-1]) == (60, NOW.replace(second=0, microsecond=0))
    assert minutes == sorted(minutes)
    assert (hour.total.matches, hour.total.mean_seconds) == (2, 3.0)
    assert hour.total.busy_share == 3 / 8


def test_a_match_is_counted_once_with_the_wait_of_its_rider(service: Service) -> None:
    statistics = FakeStatistics()
    object.__setattr__(service.ports, "statistics", statistics)
    ride = service.request()
    service.later(7)
    service.on_duty()
    service.run_published_rounds()
    assert service.stored(ride).matched_at == service.now
    total = last_hour(statistics, service.now).total
    assert (total.matches, total.seconds) == (1, 7.0)


def test_the_busy_share_counts_only_unicorns_on_duty() -> None:
    service, statistics = Service(), FakeStatistics()
    for number, state in enumerate(
        [
            *(UnicornState.AVAILABLE, UnicornState.RESERVED, UnicornState.ON_TRIP),
            *(UnicornState.NON_OPERATIONAL, UnicornState.REMOVED),
        ]
    ):
        service.fleet.refresh(a_unicorn(unicorn_id=f"u{number}", state=state), NOW)
    count_unicorns(FakeCityMap(service.fleet, service.waiting), statistics, NOW)
    counted = last_hour(statistics, NOW).total
    assert (counted.busy, counted.on_duty) == (2, 3)
