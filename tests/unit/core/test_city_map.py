"""All followers of the city map share one map; each gets the changes since its last event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from service.core import city_map
from service.core.city_map import (
    MapChanges,
    SeenUnicorn,
    SharedMap,
    Snapshot,
    WaitingRide,
    event_id,
    follow,
    read_snapshot,
)
from service.core.watch import Wait
from service.model import WORLD, Box, UnicornState
from service.model.errors import Unavailable
from tests.support.builders import BATTERY_PARK, CENTRAL_PARK, NOW, a_ride

SECOND = timedelta(seconds=1)


def seen(name: str = "u1", **changes: object) -> SeenUnicorn:
    unicorn = SeenUnicorn(
        *(name, "Shadowfax", "White", 1, UnicornState.AVAILABLE, True, None),
        *(BATTERY_PARK, None, NOW),
    )
    return unicorn._replace(**changes)


@dataclass
class City:
    """A city map and a clock that the test sets."""

    now: datetime = NOW
    things: list[SeenUnicorn] = field(default_factory=list)
    rides: list[WaitingRide] = field(default_factory=list)
    is_away: bool = False
    looks: int = 0

    def unicorns(self, box: Box, limit: int, now: datetime) -> Sequence[SeenUnicorn]:
        self.looks += 1
        if self.is_away:
            raise Unavailable("Redis: ConnectionError")
        return self.things[:limit]

    def waiting(self, box: Box, limit: int) -> Sequence[WaitingRide]:
        return self.rides[:limit]

    def shared_map(self) -> SharedMap:
        return SharedMap(self, lambda: self.now, lambda: self.now.timestamp())

    def pass_time(self, shared_map: SharedMap, seconds: float = 1) -> None:
        self.now += seconds * SECOND
        shared_map.update()


@pytest.fixture
def city() -> City:
    return City(things=[seen("u1"), seen("u2")], rides=[WaitingRide(a_ride(), None)])


@pytest.fixture
def shared_map(city: City) -> SharedMap:
    shared_map = city.shared_map()
    shared_map.update()
    return shared_map


def test_a_new_follower_gets_the_whole_map(city: City, shared_map: SharedMap) -> None:
    news = shared_map.news(None)
    assert isinstance(news, Snapshot)
    assert (news.unicorns, news.waiting, news.truncated) == (city.things, city.rides, False)


def test_a_follower_gets_changed_entries_and_the_ids_of_removed_ones(
    city: City, shared_map: SharedMap
) -> None:
    begun = event_id(NOW)
    assert shared_map.news(begun) is None
    moved = seen("u1", location=CENTRAL_PARK)
    city.things, city.rides = [moved], []
    city.pass_time(shared_map)
    news = shared_map.news(begun)
    assert isinstance(news, MapChanges)
    assert (news.unicorns, news.gone_unicorns) == ([moved], ["u2"])
    assert (news.waiting, news.gone_rides) == ([], ["ride-1"])
    assert shared_map.news(news.event_id) is None


def test_an_entry_that_comes_back_is_no_longer_listed_as_removed(
    city: City, shared_map: SharedMap
) -> None:
    both, city.things = city.things, []
    city.pass_time(shared_map)
    city.things = both
    city.pass_time(shared_map)
    news = shared_map.news(event_id(NOW))
    assert isinstance(news, MapChanges)
    assert (news.unicorns, news.gone_unicorns) == (both, [])


def test_all_followers_share_one_read_a_second_and_the_same_news(city: City) -> None:
    shared_map = city.shared_map()
    for _ in range(100):
        shared_map.update()
    assert city.looks == 1
    city.things = [seen("u3")]
    city.pass_time(shared_map)
    assert shared_map.news(event_id(NOW)) is shared_map.news(event_id(NOW))
    assert shared_map.news(None) is shared_map.news(None)


def test_followers_keep_their_phases_after_a_pause_of_the_process(city: City) -> None:
    shared_map = city.shared_map()
    followers = [shared_map.schedule() for _ in range(100)]
    for pause in (0.0, 0.4, 7.3):
        city.now += pause * SECOND
        waits = sorted(next(each) for each in followers)
        assert max(after - before for before, after in pairwise(waits)) < 0.05


@pytest.mark.parametrize(
    ("behind", "is_resumed"), [(-90, False), (-1, False), (0, True), (5, True), (90, False)]
)
def test_a_follower_that_was_away_too_long_gets_the_whole_map(
    city: City, shared_map: SharedMap, behind: float, is_resumed: bool
) -> None:
    """`behind`: the seconds from the last seen event to the map; negative: before the first."""
    city.now += max(behind, 0) * SECOND
    city.things = [seen("u3")]
    city.pass_time(shared_map)
    last = event_id(NOW) if behind >= 0 else event_id(NOW + behind * SECOND)
    assert isinstance(shared_map.news(last), MapChanges) is is_resumed


def test_an_event_id_from_the_future_gets_the_whole_map(shared_map: SharedMap) -> None:
    assert isinstance(shared_map.news(event_id(NOW + 3 * SECOND)), Snapshot)


def test_followers_keep_the_last_picture_while_redis_is_away(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(city_map, "UPDATE_SECONDS", 0.001)
    feed = follow(city.shared_map(), None, Wait())
    assert isinstance(next(feed), Snapshot)
    city.is_away = True
    assert next(feed) is None
    city.is_away, city.things = False, [seen("u3")]
    city.now += SECOND
    assert isinstance(next(feed), MapChanges)


def test_following_fails_if_the_map_was_never_read(city: City) -> None:
    city.is_away = True
    with pytest.raises(Unavailable):
        next(follow(city.shared_map(), None, Wait()))


def test_a_returning_follower_gets_the_last_changes_again(
    city: City, shared_map: SharedMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that it followed before may have read the map a moment later than this one."""
    monkeypatch.setattr(city_map, "UPDATE_SECONDS", 0.001)
    city.things = [seen("u3")]
    city.pass_time(shared_map, 5)
    news = next(follow(shared_map, event_id(city.now + SECOND), Wait()))
    assert isinstance(news, MapChanges)
    assert [each.unicorn_id for each in news.unicorns] == ["u3"]


def test_following_ends_when_the_wait_ends(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(city_map, "UPDATE_SECONDS", 0.001)
    wait = Wait()
    feed = follow(city.shared_map(), None, wait)
    next(feed)
    wait.end("gone")
    assert list(feed) == []


def test_a_map_has_a_bounded_number_of_entries_and_says_when_it_is_truncated(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(city_map, "MOST_SHOWN", 1)
    shown = read_snapshot(city, WORLD, NOW)
    assert (len(shown.unicorns), len(shown.waiting), shown.truncated) == (1, 1, True)
    city.things = [seen("u9")]
    assert not read_snapshot(city, WORLD, NOW).truncated


def test_a_plan_that_changes_is_news(city: City, shared_map: SharedMap) -> None:
    ride = a_ride()
    city.rides = [WaitingRide(replace(ride, version=2), None)]
    city.pass_time(shared_map)
    news = shared_map.news(event_id(NOW))
    assert isinstance(news, MapChanges)
    assert news.waiting == city.rides
