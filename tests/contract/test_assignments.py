"""A ride and its unicorn are written together or not at all, in DynamoDB and in the fake."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from service.core.ports import WriteConflict
from service.model import CanceledBy, Ride, RideStatus, Unicorn, UnicornState
from service.stores.entries import dump_ride, dump_unicorn, load_ride, load_unicorn
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn
from tests.support.racing import race, wins

if TYPE_CHECKING:
    from tests.contract.conftest import Stores


def store(stores: Stores, ride: Ride, unicorn: Unicorn) -> tuple[Ride, Unicorn]:
    assert stores.rides.create(ride) is None
    stores.unicorns.create(unicorn)
    return ride, unicorn


def claim(stores: Stores, ride: Ride, unicorn: Unicorn) -> None:
    matched, reserved = a_matched_pair(ride, unicorn)
    stores.assignments.commit((ride, matched), (unicorn, reserved))


def pair(stores: Stores, ride_id: str = "ride-1", unicorn_id: str = "u1") -> tuple[Ride, Unicorn]:
    ride, unicorn = stores.assignments.pair(ride_id, unicorn_id)
    assert ride
    assert unicorn
    return ride, unicorn


def test_a_pair_is_read_together_and_what_is_missing_is_none(stores: Stores) -> None:
    ride, unicorn = store(stores, a_ride(), a_usable_unicorn())
    assert stores.assignments.pair("ride-1", "u1") == (ride, unicorn)
    assert stores.assignments.pair("ride-1", "u2") == (ride, None)
    assert stores.assignments.pair("ride-2", "u1") == (None, unicorn)
    assert stores.assignments.pair("x" * 2049, "u1")[0] is None


def test_a_claim_takes_both_sides(stores: Stores) -> None:
    ride, unicorn = store(stores, a_ride(), a_usable_unicorn(account_sub="sub-1"))
    claim(stores, ride, unicorn)
    assert pair(stores) == a_matched_pair(ride, unicorn)


def test_a_claim_from_cached_copies_loses_nothing(stores: Stores) -> None:
    ride, unicorn = store(stores, a_ride(note="ring twice"), a_usable_unicorn())
    claim(stores, load_ride(dump_ride(ride)), load_unicorn(dump_unicorn(unicorn)))
    assert pair(stores)[0] == a_matched_pair(ride, unicorn)[0]
    assert pair(stores)[0].note == "ring twice"


def test_a_claim_fails_when_the_unicorn_is_taken(stores: Stores) -> None:
    ride, unicorn = store(stores, a_ride(), a_usable_unicorn())
    other = a_ride(ride_id="ride-2")
    stores.rides.create(other)
    claim(stores, other, unicorn)
    with pytest.raises(WriteConflict) as lost:
        claim(stores, ride, unicorn)
    assert lost.value.ride is None
    assert lost.value.unicorn == a_matched_pair(other, unicorn)[1]
    assert stores.rides.get("ride-1") == ride


def test_a_claim_fails_when_the_ride_was_canceled(stores: Stores) -> None:
    ride, unicorn = store(stores, a_ride(), a_usable_unicorn())
    canceled = ride.canceled(CanceledBy.RIDER, None, NOW)
    stores.rides.save(ride, canceled)
    with pytest.raises(WriteConflict) as lost:
        claim(stores, ride, unicorn)
    assert (lost.value.ride, lost.value.unicorn) == (canceled, None)
    assert stores.unicorns.get("u1") == unicorn


def test_a_claim_that_fails_on_both_sides_returns_what_is_stored_of_both(stores: Stores) -> None:
    ride, unicorn = store(stores, a_ride(), a_usable_unicorn())
    claim(stores, ride, unicorn)
    with pytest.raises(WriteConflict) as lost:
        claim(stores, ride, unicorn)
    assert (lost.value.ride, lost.value.unicorn) == a_matched_pair(ride, unicorn)


def test_a_claim_of_a_ride_and_a_unicorn_that_do_not_exist_fails(stores: Stores) -> None:
    with pytest.raises(WriteConflict) as lost:
        claim(stores, a_ride(), a_usable_unicorn())
    assert (lost.value.ride, lost.value.unicorn) == (None, None)
    assert stores.assignments.pair("ride-1", "u1") == (None, None)


def test_a_ride_never_goes_to_a_unicorn_it_excluded(stores: Stores) -> None:
    ride, unicorn = store(stores, a_ride(excluded=frozenset({"u1", "u2"})), a_usable_unicorn())
    unaware = replace(ride, excluded=frozenset[str]())
    with pytest.raises(WriteConflict) as lost:
        claim(stores, unaware, unicorn)
    assert (lost.value.ride, lost.value.unicorn) == (ride, None)
    assert pair(stores) == (ride, unicorn)


def test_a_ride_that_excluded_others_goes_to_the_next(stores: Stores) -> None:
    ride, unicorn = store(stores, a_ride(excluded=frozenset({"u2"})), a_usable_unicorn())
    claim(stores, ride, unicorn)
    assert pair(stores)[0].unicorn_id == "u1"


@pytest.mark.parametrize(
    "taken",
    [{"state": UnicornState.RESERVED}, {"ride_id": "ride-9"}, {"accepting": False}],
    ids=["state", "ride", "accepting"],
)
def test_a_unicorn_that_is_not_free_is_not_won_by_its_version(
    stores: Stores, taken: dict[str, object]
) -> None:
    ride, _ = store(stores, a_ride(), a_usable_unicorn(**taken))
    with pytest.raises(WriteConflict):
        claim(stores, ride, a_usable_unicorn())
    assert stores.rides.get("ride-1") == ride


def test_a_ride_runs_to_its_end_and_frees_its_unicorn(stores: Stores) -> None:
    claim(stores, *store(stores, a_ride(), a_usable_unicorn()))
    matched, reserved = pair(stores)
    arrived = matched.arrived(NOW, NOW - NOW)
    stores.rides.save(matched, arrived)
    started, departed = arrived.started(NOW), reserved.departed("ride-1", NOW)
    stores.assignments.commit((arrived, started), (reserved, departed))
    completed, free = started.completed(NOW), departed.released("ride-1", NOW)
    stores.assignments.commit((started, completed), (departed, free))
    assert pair(stores) == (completed, free)
    assert (completed.version, free.version) == (5, 4)
    assert free.can_take_a_ride


def test_one_of_thirty_two_rides_at_once_wins_the_unicorn(stores: Stores) -> None:
    unicorn = a_usable_unicorn()
    stores.unicorns.create(unicorn)
    rides = [a_ride(ride_id=f"r{n}") for n in range(32)]
    for ride in rides:
        stores.rides.create(ride)
    won = race(lambda ride: wins(lambda: claim(stores, ride, unicorn)), rides)
    assert won.count(True) == 1
    winner = rides[won.index(True)]
    assert stores.unicorns.get("u1") == a_matched_pair(winner, unicorn)[1]
    statuses = [pair(stores, ride.ride_id)[0].status for ride in rides]
    assert statuses.count(RideStatus.REQUESTED) == 31


def test_one_of_thirty_two_unicorns_at_once_wins_the_ride(stores: Stores) -> None:
    ride = a_ride()
    stores.rides.create(ride)
    unicorns = [a_usable_unicorn(unicorn_id=f"u{n}") for n in range(32)]
    for unicorn in unicorns:
        stores.unicorns.create(unicorn)
    won = race(lambda unicorn: wins(lambda: claim(stores, ride, unicorn)), unicorns)
    assert won.count(True) == 1
    winner = unicorns[won.index(True)]
    assert stores.rides.get("ride-1") == a_matched_pair(ride, winner)[0]
    assert [pair(stores, unicorn_id=u.unicorn_id)[1] for u in unicorns if u != winner] == [
        u for u in unicorns if u != winner
    ]


def test_claims_in_any_order_pair_no_ride_and_no_unicorn_twice(stores: Stores) -> None:
    rides = [a_ride(ride_id=f"r{n}") for n in range(8)]
    unicorns = [a_usable_unicorn(unicorn_id=f"u{n}") for n in range(8)]
    for ride, unicorn in zip(rides, unicorns, strict=True):
        store(stores, ride, unicorn)

    def claim_all(seed: int) -> int:
        pairs = [(ride, unicorn) for ride in rides for unicorn in unicorns]
        random.Random(seed).shuffle(pairs)
        return sum(wins(lambda: claim(stores, *pair)) for pair in pairs[:16])  # noqa: B023

    won = sum(race(claim_all, range(32)))
    taken = [stores.rides.get(ride.ride_id) for ride in rides]
    winners = {ride.ride_id: ride.unicorn_id for ride in taken if ride and ride.unicorn_id}
    holders = [stores.unicorns.get(unicorn.unicorn_id) for unicorn in unicorns]
    held = {u.ride_id: u.unicorn_id for u in holders if u and u.ride_id}
    assert winners == held
    assert len(winners) == won
    assert won >= 4
