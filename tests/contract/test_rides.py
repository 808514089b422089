"""Rides behave the same in DynamoDB and in the fake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from service.core import ports
from service.core.ports import Rides, WriteConflict
from service.model import LEFT_TO_PATROLS, CanceledBy, Rating, Ride, RideStatus, RideStep, items_of
from service.settings import Settings
from service.stores.dynamodb import due
from service.stores.dynamodb import rides as dynamo_rides
from service.stores.dynamodb.items import shard_of
from service.stores.dynamodb.rides import DynamoRides
from tests.support.builders import NOW, a_finished_ride, a_matched_pair, a_ride, a_usable_unicorn
from tests.support.racing import race, wins

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def stored(rides: Rides, ride_id: str = "ride-1") -> Ride:
    ride = rides.get(ride_id)
    assert ride
    return ride


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def create(rides: Rides, ride: Ride) -> Ride:
    assert rides.create(ride) is None
    return ride


def due_ids(rides: Rides, seconds: float, limit: int = 100) -> list[str]:
    return [ride.ride_id for ride in rides.due(NOW + timedelta(seconds=seconds), limit)]


def pages(
    rides: Rides, rider_id: str, limit: int, status: RideStatus | None = None
) -> Iterator[tuple[str, ...]]:
    start = None
    while True:
        page = rides.list_of_rider(rider_id, status=status, limit=limit, start=start)
        yield tuple(ride.ride_id for ride in page.items)
        start = page.next_key
        if start is None:
            return


@pytest.mark.parametrize("ride", [a_ride(), a_finished_ride()], ids=["new", "full"])
def test_a_ride_is_read_as_it_was_created(rides: Rides, ride: Ride) -> None:
    create(rides, ride)
    assert rides.get("ride-1") == ride


def test_instants_are_kept_to_the_millisecond(rides: Rides) -> None:
    create(rides, a_ride(requested_at=NOW + timedelta(microseconds=999)))
    assert stored(rides).requested_at == NOW


@pytest.mark.parametrize("ride_id", ["unknown", "", "x" * 2049, "é" * 1500])
def test_there_is_no_ride_of_an_unknown_or_impossible_id(rides: Rides, ride_id: str) -> None:
    assert rides.get(ride_id) is None


def test_creating_a_ride_again_returns_the_first_and_changes_nothing(rides: Rides) -> None:
    first = create(rides, a_ride(fingerprint="first"))
    assert rides.create(a_ride(fingerprint="second")) == first
    assert rides.get("ride-1") == first


def test_a_hundred_creations_at_once_make_one_ride(rides: Rides) -> None:
    candidates = [a_ride(fingerprint=f"fingerprint-{n}") for n in range(100)]
    answers = race(rides.create, candidates)
    winner = candidates[answers.index(None)]
    assert [answer for answer in answers if answer is not None] == [winner] * 99
    assert list(pages(rides, "rider-1", 100)) == [("ride-1",)]


def test_saving_replaces_what_changed(rides: Rides) -> None:
    before = create(rides, a_ride())
    after = before.canceled(CanceledBy.RIDER, "changed my mind", NOW)
    rides.save(before, after)
    assert rides.get("ride-1") == after


def test_saving_clears_what_is_none_afterwards(rides: Rides) -> None:
    matched, _ = a_matched_pair(a_ride(), a_usable_unicorn())
    create(rides, matched)
    after = matched.returned(NOW, timedelta(seconds=180), RideStep.FELL_SILENT)
    rides.save(matched, after)
    assert rides.get("ride-1") == after


def test_saving_leaves_alone_what_did_not_change(rides: Rides) -> None:
    create(rides, a_ride(note="ring twice"))
    before = a_ride(note=None, due_at=NOW)
    rides.save(before, replace(before, version=2, fresh_deadlines=1))
    assert rides.get("ride-1") == a_ride(note="ring twice", version=2, fresh_deadlines=1)


def test_saving_on_an_outdated_version_returns_what_is_stored(rides: Rides) -> None:
    before = create(rides, a_ride())
    first = before.canceled(CanceledBy.RIDER, None, NOW)
    rides.save(before, first)
    with pytest.raises(WriteConflict) as lost:
        rides.save(before, before.unmatched(NOW))
    assert (lost.value.ride, lost.value.unicorn) == (first, None)
    assert rides.get("ride-1") == first


def test_saving_a_ride_that_does_not_exist_is_a_conflict(rides: Rides) -> None:
    with pytest.raises(WriteConflict) as lost:
        rides.save(a_ride(), a_ride().unmatched(NOW))
    assert lost.value.ride is None
    assert rides.get("ride-1") is None


@pytest.mark.parametrize(
    "other",
    [
        {"status": RideStatus.CANCELED, "due_at": None},
        {"unicorn": a_matched_pair(a_ride(), a_usable_unicorn())[0].unicorn},
    ],
    ids=["status", "unicorn"],
)
def test_a_matching_version_alone_does_not_let_a_write_through(
    rides: Rides, other: dict[str, object]
) -> None:
    create(rides, a_ride(**other))
    with pytest.raises(WriteConflict):
        rides.save(a_ride(), a_ride().unmatched(NOW))


def test_of_many_writers_at_once_one_wins(rides: Rides) -> None:
    before = create(rides, a_ride())
    afters = [before.canceled(CanceledBy.RIDER, f"reason {n}", NOW) for n in range(32)]
    won = race(lambda after: wins(lambda: rides.save(before, after)), afters)
    assert won.count(True) == 1
    assert rides.get("ride-1") == afters[won.index(True)]


def test_each_write_makes_the_next_version(rides: Rides) -> None:
    create(rides, a_finished_ride(version=1))

    def rate_until_won(stars: int) -> int:
        while True:
            before = stored(rides)
            after = before.rated(Rating(stars))
            if wins(lambda: rides.save(before, after)):  # noqa: B023
                return after.version

    versions = race(rate_until_won, [1, 2, 3, 4, 5, 1, 2, 3])
    assert sorted(versions) == list(range(2, 10))
    assert stored(rides).version == 9


def test_open_rides_are_due_oldest_first_over_all_shards(rides: Rides) -> None:
    for n in range(40):
        create(rides, a_ride(ride_id=f"r{n}", due_at=NOW + timedelta(seconds=n * 7 % 40)))
    order = sorted(range(40), key=lambda n: n * 7 % 40)
    assert due_ids(rides, 29) == [f"r{n}" for n in order[:30]]
    assert due_ids(rides, 29, limit=5) == [f"r{n}" for n in order[:5]]
    assert due_ids(rides, -0.001) == []


def test_more_rides_are_due_than_fit_in_one_answer(
    rides: Rides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "QUERY_PAGE", 2)
    for n in range(50):
        create(rides, a_ride(ride_id=f"r{n}", due_at=NOW + timedelta(seconds=n)))
    assert due_ids(rides, 100) == [f"r{n}" for n in range(50)]


def test_a_due_ride_is_read_with_all_its_fields(rides: Rides) -> None:
    matched, _ = a_matched_pair(a_ride(note="ring twice"), a_usable_unicorn())
    create(rides, matched)
    assert list(rides.due(NOW + LEFT_TO_PATROLS, 10)) == [matched]


def test_a_ride_that_ended_is_never_due(rides: Rides) -> None:
    before = create(rides, a_ride())
    assert due_ids(rides, 1000) == ["ride-1"]
    rides.save(before, before.canceled(CanceledBy.RIDER, None, NOW))
    assert due_ids(rides, 1000) == []


def test_a_ride_that_came_back_is_due_again(rides: Rides) -> None:
    matched, _ = a_matched_pair(a_ride(), a_usable_unicorn())
    create(rides, matched)
    rides.save(matched, matched.returned(NOW, timedelta(seconds=180), RideStep.FELL_SILENT))
    assert due_ids(rides, 2) == ["ride-1"]


def test_postponing_changes_the_time_and_nothing_else(rides: Rides) -> None:
    ride = create(rides, a_ride())
    later = NOW + timedelta(seconds=6)
    assert rides.postpone(ride, later)
    assert rides.get("ride-1") == replace(ride, due_at=later)
    assert due_ids(rides, 5.999) == []
    assert due_ids(rides, 6) == ["ride-1"]


@pytest.mark.parametrize(
    "seen",
    [
        {"due_at": NOW + timedelta(seconds=1)},
        {"status": RideStatus.OFFERED},
        {"due_at": None},
        {"ride_id": "unknown"},
    ],
    ids=["another time", "another status", "no time", "no such ride"],
)
def test_postponing_fails_unless_the_ride_is_as_seen(rides: Rides, seen: dict[str, object]) -> None:
    create(rides, a_ride())
    assert not rides.postpone(a_ride(**seen), NOW + timedelta(seconds=6))
    assert rides.get("ride-1") == a_ride()
    assert rides.get("unknown") is None


def test_of_many_sweeps_at_once_one_postpones(rides: Rides) -> None:
    ride = create(rides, a_ride())
    times = [NOW + timedelta(seconds=3 + n) for n in range(16)]
    pushed = race(lambda time: rides.postpone(ride, time), times)
    assert pushed.count(True) == 1
    assert stored(rides).due_at == times[pushed.index(True)]


def test_a_change_of_the_ride_survives_being_postponed(rides: Rides) -> None:
    seen = create(rides, a_ride())
    rides.postpone(seen, NOW + timedelta(seconds=6))
    canceled = seen.canceled(CanceledBy.RIDER, None, NOW)
    rides.save(seen, canceled)
    assert rides.get("ride-1") == canceled


def create_history(rides: Rides, count: int) -> list[str]:
    """Rides of which three at a time were requested in the same millisecond, oldest first."""
    for n in range(count):
        ended = {"status": RideStatus.CANCELED, "due_at": None} if n % 4 == 0 else {}
        requested_at = NOW + timedelta(seconds=n // 3)
        create(rides, a_ride(ride_id=f"r{n:02}", requested_at=requested_at, **ended))
        create(rides, a_ride(ride_id=f"x{n:02}", requested_at=requested_at, rider_id="other"))
    return [f"r{n:02}" for n in range(count)]


def test_a_unicorns_rides_are_those_it_has_or_had_at_their_end(rides: Rides) -> None:
    unicorn = a_usable_unicorn()
    for number, is_over in enumerate((True, True, False, False)):
        ride = create(rides, a_ride(ride_id=f"ride-{number}", requested_at=later(number)))
        matched, _ = a_matched_pair(ride, unicorn)
        rides.save(ride, matched)
        if is_over:
            rides.save(matched, matched.canceled(CanceledBy.ADMIN, None, NOW))
    lost = stored(rides, "ride-3")
    rides.save(lost, lost.returned(NOW, timedelta(seconds=180), RideStep.DECLINED))
    create(rides, a_ride(ride_id="without"))

    def listed(status: RideStatus | None = None, seconds: float = 0, limit: int = 9) -> list[str]:
        page = partial(rides.list_of_unicorn, "u1", status=status, limit=limit)
        found = items_of(lambda start, **_: page(start=start, since=later(seconds)))
        return [ride.ride_id for ride in found]

    assert listed() == listed(limit=1) == ["ride-2", "ride-1", "ride-0"]
    assert listed(RideStatus.CANCELED, limit=1) == ["ride-1", "ride-0"]
    assert listed(seconds=1) == ["ride-2", "ride-1"]
    for name in ("u2", "", "x" * 2049):
        assert not rides.list_of_unicorn(name, status=None, limit=9, start=None).items


def test_a_riders_rides_are_listed_since_an_instant(rides: Rides) -> None:
    create_history(rides, 12)
    page = rides.list_of_rider("rider-1", status=None, limit=9, start=None, since=later(3))
    assert {ride.ride_id for ride in page.items} == {"r09", "r10", "r11"}
    first = rides.list_of_rider("rider-1", status=None, limit=2, start=None, since=later(3))
    rest = rides.list_of_rider(
        "rider-1", status=None, limit=2, start=first.next_key, since=later(3)
    )
    assert {ride.ride_id for ride in (*first.items, *rest.items)} == {"r09", "r10", "r11"}
    assert rest.next_key is None


def test_a_shard_names_its_assigned_rides_with_their_unicorns(rides: Rides) -> None:
    for number in range(6):
        ride = create(rides, a_ride(ride_id=f"ride-{number}", due_at=later(number)))
        if number % 2:
            matched, _ = a_matched_pair(ride, a_usable_unicorn(unicorn_id=f"u{number}"))
            rides.save(ride, replace(matched, due_at=later(number)))

    def assigned(after: float) -> set[tuple[str, str]]:
        return {each for shard in rides.shards for each in rides.assigned(shard, later(after))}

    assert assigned(0) == {("ride-1", "u1"), ("ride-3", "u3"), ("ride-5", "u5")}
    assert assigned(1) == {("ride-3", "u3"), ("ride-5", "u5")}
    ended = stored(rides, "ride-3")
    rides.save(ended, ended.canceled(CanceledBy.ADMIN, None, NOW))
    assert assigned(1) == {("ride-5", "u5")}


@pytest.mark.parametrize("limit", [1, 4, 5, 20, 100])
def test_pages_of_a_riders_rides_lose_and_repeat_nothing(rides: Rides, limit: int) -> None:
    history = create_history(rides, 20)
    seen = list(pages(rides, "rider-1", limit))
    flat = [ride_id for page in seen for ride_id in page]
    assert sorted(flat) == history
    assert [int(ride_id[1:]) // 3 for ride_id in flat] == [n // 3 for n in reversed(range(20))]
    assert [len(page) for page in seen[:-1]] == [limit] * (len(seen) - 1)
    assert seen[-1]


def test_a_status_can_be_picked_from_a_long_history(
    rides: Rides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamo_rides, "QUERY_PAGE", 3)
    history = create_history(rides, 20)
    seen = list(pages(rides, "rider-1", 2, RideStatus.CANCELED))
    assert seen == [("r16", "r12"), ("r08", "r04"), ("r00",)]
    open_ones = list(pages(rides, "rider-1", 100, RideStatus.REQUESTED))
    assert sorted(open_ones[0]) == [ride_id for ride_id in history if int(ride_id[1:]) % 4]


def test_rides_requested_while_paging_do_not_disturb_it(rides: Rides) -> None:
    create_history(rides, 6)
    first = rides.list_of_rider("rider-1", status=None, limit=3, start=None)
    create(rides, a_ride(ride_id="newer", requested_at=NOW + timedelta(hours=1)))
    rest = rides.list_of_rider("rider-1", status=None, limit=3, start=first.next_key)
    assert {ride.ride_id for ride in rest.items} == {"r00", "r01", "r02"}
    assert rest.next_key is None


def test_a_rider_without_rides_has_one_empty_page(rides: Rides) -> None:
    assert list(pages(rides, "nobody", 10)) == [()]


def test_the_continuation_key_of_another_rider_leads_only_to_ones_own_rides(rides: Rides) -> None:
    create_history(rides, 9)
    others = rides.list_of_rider("other", status=None, limit=4, start=None)
    mine = rides.list_of_rider("rider-1", status=None, limit=9, start=others.next_key)
    assert {ride.rider_id for ride in mine.items} == {"rider-1"}


def test_many_rides_are_postponed_at_once_each_by_itself(rides: Rides) -> None:
    seen = [create(rides, a_ride(ride_id=f"ride-{number}", failed_looks=2)) for number in range(60)]
    rides.save(seen[7], seen[7].unmatched(NOW))
    rides.postpone(seen[8], NOW + timedelta(seconds=3))
    later = NOW + timedelta(seconds=6)
    moved = rides.postpone_all([(ride, later) for ride in seen])
    assert {ride.ride_id for ride in seen} - {ride.ride_id for ride in moved} == {
        "ride-7",
        "ride-8",
    }
    assert all(stored(rides, ride.ride_id) == ride for ride in moved)
    assert {(ride.due_at, ride.failed_looks) for ride in moved} == {(later, 0)}
    assert rides.postpone_all([]) == []


def due_in(rides: Rides, shard: str, now: datetime, limit: int) -> list[Ride]:
    return list(chain.from_iterable(rides.due_in_batches(shard, now, limit, 100)))


def test_a_batch_is_read_on_demand_and_has_the_rides_due_at_that_time(rides: Rides) -> None:
    """Rides that end come first, and a batch for which there is no time is not read."""
    now = NOW + timedelta(seconds=3)
    in_shard = [
        ride
        for number in range(80)
        if shard_of((ride := a_ride(ride_id=f"waits-{number}", due_at=later(number / 100))).ride_id)
        == "0"
    ]
    waits = [create(rides, ride) for ride in in_shard[:4]]
    last = replace(in_shard[4], deadline_at=now, due_at=now)
    ends = create(rides, last)
    batches = rides.due_in_batches("0", now, 100, 2)
    assert list(next(batches)) == [ends]
    moved = rides.postpone_all([(waits[0], now + timedelta(seconds=4))])
    assert [each.ride_id for each in moved] == [waits[0].ride_id]
    assert [list(batch) for batch in batches] == [[waits[1]], waits[2:]]


def test_a_shard_lists_its_own_rides_and_all_shards_list_them_all(rides: Rides) -> None:
    for number in range(40):
        create(rides, a_ride(ride_id=f"ride-{number}"))
    now = NOW + timedelta(seconds=3)
    parts = [{r.ride_id for r in due_in(rides, shard, now, 100)} for shard in rides.shards]
    assert set().union(*parts) == {ride.ride_id for ride in rides.due(now, 100)}
    assert sum(map(len, parts)) == 40
    assert all(parts)


def test_an_expired_offer_is_listed_however_many_older_rides_wait(rides: Rides) -> None:
    offer, _ = a_matched_pair(a_ride(), a_usable_unicorn(auto_accept=False))
    offer = create(rides, replace(offer, due_at=NOW + timedelta(seconds=2)))
    past_deadline = NOW + timedelta(seconds=2)
    ended = create(rides, a_ride(ride_id="ended", deadline_at=past_deadline, due_at=past_deadline))
    for number in range(60):
        create(rides, a_ride(ride_id=f"waits-{number}", due_at=NOW))
    now = NOW + timedelta(seconds=3)
    for ride in (offer, ended):
        (shard,) = [s for s in rides.shards if ride in due_in(rides, s, now, 100)]
        listed = due_in(rides, shard, now, 3)
        assert listed[0] in (offer, ended)
        assert ride in listed
        assert sum(each.only_waits(now) for each in listed) == 3


def test_an_unreadable_due_row_is_put_back_and_hides_no_other(
    dynamodb: DynamoDBClient, tables: Settings
) -> None:
    rides = DynamoRides(dynamodb, tables.rides_table)
    for number in range(12):
        create(rides, a_ride(ride_id=f"bad-{number}", due_at=NOW))
        dynamodb.update_item(
            TableName=tables.rides_table,
            Key={"ride_id": {"S": f"bad-{number}"}},
            UpdateExpression="SET pickup = :nonsense",
            ExpressionAttributeValues={":nonsense": {"S": "somewhere"}},
        )
    good = create(rides, a_ride(ride_id="good"))
    now = NOW + timedelta(seconds=3)
    found = [ride for _ in range(13) for ride in rides.due(now, 1)]
    assert found == [good]
    assert good in rides.due(now + timedelta(minutes=6), 100)


def test_a_listing_by_status_reads_a_limited_part_of_a_long_history(
    rides: Rides, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in (ports, dynamo_rides):
        monkeypatch.setattr(owner, "MOST_LISTED", 4)
    for number in range(11):
        requested_at = NOW + timedelta(seconds=number)
        create(rides, a_ride(ride_id=f"ride-{number}", requested_at=requested_at))
    first = stored(rides, "ride-0")
    rides.save(first, first.unmatched(NOW))
    found = list(pages(rides, "rider-1", 2, RideStatus.UNMATCHED))
    assert found == [(), (), ("ride-0",)]
