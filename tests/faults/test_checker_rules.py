"""Each rule of the checker, on histories written by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.core.rides import ride_id_of
from service.model import AssignedUnicorn, Ride, RideStatus, Trip, UnicornState
from tests.load.chaos import evidence, timing
from tests.load.chaos.checker import check
from tests.load.chaos.evidence import Evidence
from tests.load.chaos.history import History
from tests.load.chaos.schedule import Habit
from tests.support.builders import BATTERY_PARK, NOW, a_ride, a_unicorn

AT = NOW.timestamp()
KEY = "key-1"
RIDE_ID = ride_id_of("rider-1", KEY)


def completed(begin: float = 1, end: float = 20, **changes: Any) -> Ride:
    """A ride of u1. `begin`, `end`: seconds from now to its match and to its end."""
    fields = {
        "ride_id": RIDE_ID,
        "status": RideStatus.COMPLETED,
        "due_at": None,
        "version": 5,
        "unicorn": AssignedUnicorn("u1", "Shadowfax", "White", "Male", BATTERY_PARK),
        "matched_at": NOW + timedelta(seconds=begin),
        "arrived_at": NOW + timedelta(seconds=begin + 0.5),
        "started_at": NOW + timedelta(seconds=begin + 1),
        "completed_at": NOW + timedelta(seconds=end),
    }
    return a_ride(**fields | changes)


def sent(key: str = KEY) -> dict[str, Any]:
    return {"at": AT, "what": "sent", "who": "rider-1", "key": key, "call": 1}


def saw(version: int, status: str = "matched", at: float = 0, **changes: Any) -> dict[str, Any]:
    return {
        "at": AT + at,
        "since": AT + at,
        "what": "ride",
        "who": "rider-1",
        "key": KEY,
        "ride_id": RIDE_ID,
        "version": version,
        "status": status,
        "unicorn_id": "u1",
    } | changes


def found(
    rides: Iterable[Ride], *history: dict[str, Any], changes: int | None = None, **left: Any
) -> set[str]:
    """Names of the broken rules. `changes`: those of u1; by default as many as its rides make."""
    rides = list(rides)
    version = 2 + (3 * len(rides) if changes is None else changes)
    unicorns = left.pop("unicorns", [a_unicorn(version=version)])
    judged = Evidence(history=[sent(), *history], rides=rides, unicorns=unicorns, **left)
    return {violation.rule for violation in check(judged)}


def test_a_good_ride_breaks_nothing() -> None:
    assert found([completed()], saw(1, "requested"), saw(2), saw(5, "completed")) == set()


@pytest.mark.parametrize("status", [RideStatus.REQUESTED, RideStatus.OFFERED])
def test_a_ride_that_never_ends_is_lost(status: RideStatus) -> None:
    ride = completed(status=status, due_at=NOW)
    assert "no_accepted_ride_is_lost" in found([ride])


def test_a_ride_that_was_shown_and_is_not_stored_is_lost() -> None:
    assert found([], saw(1, "requested")) == {"no_accepted_ride_is_lost"}


def test_a_key_that_made_two_rides_is_a_violation() -> None:
    assert "one_key_makes_one_ride" in found([completed()], saw(1), saw(1, ride_id="another"))


def test_a_ride_that_nobody_requested_is_a_violation() -> None:
    assert "one_key_makes_one_ride" in found([completed(), completed(30, 40, ride_id="ghost")])


def second(begin: float, end: float) -> tuple[Ride, dict[str, Any]]:
    return completed(begin, end, ride_id=ride_id_of("rider-1", "key-2")), sent("key-2")


@pytest.mark.parametrize(("begin", "double"), [(20, False), (19.5, True), (0, True), (21, False)])
def test_rides_of_a_unicorn_must_not_overlap(begin: float, double: bool) -> None:
    other, asked = second(begin, 30)
    assert ("no_unicorn_has_two_rides" in found([completed(), other], asked)) is double


def test_an_overlap_is_noticed_behind_a_shorter_ride() -> None:
    other, asked = second(2, 3)
    assert "no_unicorn_has_two_rides" in found([completed(), other], asked)


def test_a_ride_that_was_given_back_counts_while_it_was_seen() -> None:
    """The tables forget that u1 had it from the 5th to the 8th second; its rider does not."""
    other, asked = second(30, 40)
    given_back = replace(other, unicorn=None, matched_at=None, status=RideStatus.CANCELED)
    looks = [saw(2, at=at, ride_id=other.ride_id, key="key-2") for at in (5, 8)]
    assert "no_unicorn_has_two_rides" in found([completed(), given_back], asked, *looks)


@pytest.mark.parametrize("changes", [2, 4])
def test_one_claim_too_many_or_too_few_is_a_violation(changes: int) -> None:
    assert found([completed()], changes=changes) == {"claims_add_up"}


def test_a_version_that_does_not_follow_from_the_steps_is_a_violation() -> None:
    assert found([completed(version=6)]) == {"claims_add_up"}
    assert found([completed(version=7)]) == {"claims_add_up"}


def habit(unicorn_id: str, habit: Habit) -> dict[str, Any]:
    return {"at": AT, "what": "habit", "unicorn_id": unicorn_id, "habit": habit}


@pytest.mark.parametrize(("times", "changes", "good"), [(1, 5, True), (1, 7, False), (1, 3, False)])
def test_a_missed_offer_is_a_claim_and_a_release(times: int, changes: int, good: bool) -> None:
    """The completed ride was an accepted offer, which is one step more than a match."""
    ride = completed(missed_by=frozenset({"u1"}), version=6 + 2 * times)
    broken = found([ride], habit("u1", Habit.CHOOSY), changes=changes)
    assert broken == (set() if good else {"claims_add_up"})


@pytest.mark.parametrize(("changes", "good"), [(5, True), (7, True), (9, False), (3, False)])
def test_each_unicorn_that_missed_a_ride_missed_it_at_least_once(changes: int, good: bool) -> None:
    """Three misses of two unicorns: one or two are of u1."""
    ride = completed(missed_by=frozenset({"u1", "u2"}), version=6 + 2 * 3)
    broken = found([ride], habit("u1", Habit.CHOOSY), changes=changes)
    assert broken == (set() if good else {"claims_add_up"})


def test_a_missed_offer_that_the_version_does_not_count_is_a_violation() -> None:
    ride = completed(missed_by=frozenset({"u1", "u2"}), version=6 + 2)
    assert found([ride], habit("u1", Habit.CHOOSY), changes=5) == {"claims_add_up"}


@pytest.mark.parametrize(("changes", "good"), [(1, False), (2, True), (3, True), (4, False)])
def test_a_silence_is_a_claim_a_release_and_perhaps_a_return(changes: int, good: bool) -> None:
    ride = completed(excluded=frozenset({"u2"}), version=7)
    unicorns = [a_unicorn(version=5), a_unicorn(unicorn_id="u2", version=2 + changes)]
    broken = found([ride], habit("u2", Habit.FORGETFUL), unicorns=unicorns)
    assert broken == (set() if good else {"claims_add_up"})


def test_a_rider_must_not_see_an_older_version() -> None:
    assert found([completed()], saw(3), saw(2)) == {"nothing_seen_goes_back"}


def test_what_was_seen_must_be_stored() -> None:
    assert found([completed()], saw(6, "completed")) == {"nothing_seen_goes_back"}


def test_a_version_must_not_have_two_statuses() -> None:
    looks = (saw(2, "matched"), saw(2, "canceled", who="admin"))
    assert "nothing_seen_goes_back" in found([completed()], *looks)


def test_a_unicorn_held_by_a_ride_that_ended_is_orphaned() -> None:
    trip = Trip(BATTERY_PARK, None)
    held = a_unicorn(version=5, state=UnicornState.RESERVED, ride_id=RIDE_ID, trip=trip)
    assert found([completed()], unicorns=[held]) == {"no_reservation_is_orphaned"}


def test_a_ride_whose_unicorn_does_not_know_is_orphaned() -> None:
    ride = completed(status=RideStatus.IN_PROGRESS, version=4, due_at=NOW, completed_at=None)
    assert found([ride], changes=2) == {"no_reservation_is_orphaned"}


@pytest.mark.parametrize("left", [{"waiting": {RIDE_ID}}, {"indexed": {RIDE_ID}}])
def test_what_ended_must_not_wait(left: dict[str, Any]) -> None:
    assert found([completed()], **left) == {"nothing_that_ended_waits"}


def test_what_ended_must_not_be_due_and_what_is_open_must() -> None:
    assert found([completed(due_at=NOW)]) == {"nothing_that_ended_waits"}
    never_due = completed(status=RideStatus.IN_PROGRESS, completed_at=None)
    assert "nothing_that_ended_waits" in found([never_due])


def test_a_unicorn_that_was_heard_must_keep_its_ride() -> None:
    steady = habit("u2", Habit.STEADY)
    ride = completed(excluded=frozenset({"u2"}), version=7)
    assert found([ride], steady) == {"a_unicorn_that_is_heard_keeps_its_ride"}


def test_a_choosy_unicorn_loses_a_ride_by_its_own_decline_only() -> None:
    ride = completed(excluded=frozenset({"u2"}), version=7)
    choosy = habit("u2", Habit.CHOOSY)
    assert found([ride], choosy) == {"a_unicorn_that_is_heard_keeps_its_ride"}
    assert found([replace(ride, declined={"u2": 3})], choosy) == set()


def test_a_unicorn_that_was_heard_must_stay_on_duty() -> None:
    off_duty = a_unicorn(version=5, state=UnicornState.NON_OPERATIONAL, accepting=False)
    broken = found([completed()], habit("u1", Habit.STEADY), unicorns=[off_duty])
    assert broken == {"a_unicorn_that_is_heard_keeps_its_ride"}


def test_an_unmatched_ride_is_a_violation() -> None:
    never = dict.fromkeys(("unicorn", "matched_at", "arrived_at", "started_at", "completed_at"))
    ride = completed(status=RideStatus.UNMATCHED, version=2, **never)
    assert found([ride], changes=0) == {"nothing_is_given_up"}


def test_a_server_error_and_a_process_that_ended_are_violations() -> None:
    error = {"at": AT, "what": "answered", "call": 1, "status": 500}
    ended = {"at": AT, "what": "ended", "name": "worker-1", "code": 1}
    assert found([completed()], error) == {"only_promised_answers"}
    assert found([completed()], ended) == {"no_process_ends_by_itself"}


def test_advice_to_a_unicorn_that_has_a_ride_is_a_violation() -> None:
    idle = {"at": AT, "what": "unicorn", "unicorn_id": "u1", "version": 2, "ride_id": None}
    busy = idle | {"version": 3, "ride_id": RIDE_ID}
    seen = [idle | {"advised": True}, busy | {"advised": False}]
    assert found([completed()], *seen) == set()
    assert found([completed()], busy | {"advised": True}) == {"advice_is_for_the_idle"}


def test_two_pieces_of_advice_for_one_unicorn_are_a_violation() -> None:
    listed = {"at": AT, "what": "advice", "unicorn_ids": ["u1", "u2"]}
    assert found([completed()], listed) == set()
    twice = listed | {"unicorn_ids": ["u1", "u2", "u1"]}
    assert found([completed()], twice) == {"a_unicorn_has_one_advice"}


def test_a_late_match_is_allowed_only_soon_after_a_fault() -> None:
    fault = {"at": AT, "what": "fault", "fault": "beat killed"}
    late = Evidence(history=[fault], rides=[completed(6.5, 9)], unicorns=[])
    assert list(timing.late_rides(late)) == []
    calm = replace(late, history=[])
    assert len(list(timing.late_rides(calm))) == 1
    very_late = replace(late, rides=[completed(7.5, 9)])
    assert len(list(timing.late_rides(very_late))) == 1


def test_noted_rows_of_the_tables_are_read_back(tmp_path: Path) -> None:
    ride, unicorn = completed(), a_unicorn()
    with History(tmp_path / "history.jsonl") as history:
        history.add("sent", call=1)
        evidence.note(history, [ride], [unicorn])
        history.add("waiting", ride_ids=["r1"])
    read = evidence.read(tmp_path / "history.jsonl")
    assert (list(read.rides), list(read.unicorns), read.waiting) == ([ride], [unicorn], {"r1"})
