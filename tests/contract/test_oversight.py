"""What operators look at: the fakes and the real stores behave the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from service.core.ports import (
    AuditLog,
    DeadLetters,
    DispatchControl,
    RideHistory,
    Rides,
    Roster,
    Unicorns,
)
from service.model import Page, RepositioningLevel, Ride, RideStatus, UnicornState
from service.model.operations import AuditEntry, DeadLetter, DeadLetterKind, DispatchState
from service.settings import Settings
from service.stores.control import DynamoControl
from service.stores.dynamodb import listings
from service.stores.dynamodb.listings import DynamoRideHistory, DynamoRoster
from service.stores.dynamodb.operations import DynamoAuditLog, DynamoDeadLetters
from service.stores.revocations import DynamoRevocations
from tests.contract.conftest import Stores
from tests.support.builders import NOW, a_ride, a_unicorn
from tests.support.fakes import FakeRides, FakeUnicorns
from tests.support.fakes_oversight import (
    FakeAuditLog,
    FakeControl,
    FakeDeadLetters,
    FakeRideHistory,
    FakeRoster,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = TypeVar("Item")


@dataclass(frozen=True)
class Desk:
    """All of it over the same data."""

    rides: Rides
    unicorns: Unicorns
    history: RideHistory
    roster: Roster
    dead_letters: DeadLetters
    control: DispatchControl | DynamoControl
    audit: AuditLog


@pytest.fixture
def dynamo_desk(request: pytest.FixtureRequest, dynamo_stores: Stores) -> Desk:
    client = request.getfixturevalue("dynamodb")
    tables: Settings = request.getfixturevalue("tables")
    return Desk(
        dynamo_stores.rides,
        dynamo_stores.unicorns,
        DynamoRideHistory(client, tables.rides_table),
        DynamoRoster(client, tables.unicorns_table),
        DynamoDeadLetters(client, tables.operations_table),
        DynamoControl(client, tables.operations_table),
        DynamoAuditLog(client, tables.operations_table),
    )


@pytest.fixture(params=["fake", "dynamodb"])
def desk(request: pytest.FixtureRequest) -> Desk:
    if request.param == "dynamodb":
        real: Desk = request.getfixturevalue("dynamo_desk")
        return real
    rides, unicorns = FakeRides(), FakeUnicorns()
    return Desk(
        rides,
        unicorns,
        FakeRideHistory(rides),
        FakeRoster(unicorns),
        FakeDeadLetters(),
        FakeControl(),
        FakeAuditLog(),
    )


def all_pages(page_at: Callable[[Mapping[str, str] | None], Page[Item]]) -> list[Item]:
    found: list[Item] = []
    page = page_at(None)
    for _ in range(100):
        found += page.items
        if page.next_key is None:
            return found
        page = page_at(page.next_key)
    raise AssertionError("the listing never ends")


def newest(
    desk: Desk, *, limit: int = 100, status: RideStatus | None = None, days: float = 3
) -> list[Ride]:
    return all_pages(
        lambda start: desk.history.newest(
            since=NOW - timedelta(days=days),
            until=NOW + timedelta(seconds=30),
            status=status,
            limit=limit,
            start=start,
        )
    )


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_rides_of_several_days_are_listed_newest_first(desk: Desk, limit: int) -> None:
    ages = [0, 0, 0, 5, 3600, 2.5 * 3600, 2.9 * 3600, 30 * 3600, 71 * 3600]
    rides = [
        a_ride(ride_id=f"ride-{number}", requested_at=NOW - timedelta(seconds=age))
        for number, age in enumerate(ages)
    ]
    for ride in rides:
        desk.rides.create(ride)
    expected = sorted(rides, key=lambda ride: (ride.requested_at, ride.ride_id), reverse=True)
    assert newest(desk, limit=limit) == expected


def test_rides_before_the_span_and_of_another_status_are_left_out(desk: Desk) -> None:
    old = a_ride(ride_id="old", requested_at=NOW - timedelta(hours=2))
    waiting = a_ride(ride_id="waiting")
    ended = a_ride(ride_id="ended", status=RideStatus.UNMATCHED, due_at=None)
    for ride in (old, waiting, ended):
        desk.rides.create(ride)
    assert newest(desk, days=1 / 24) == [waiting, ended]
    assert newest(desk, status=RideStatus.UNMATCHED) == [ended]
    assert newest(desk, status=RideStatus.MATCHED) == []


def test_a_call_reads_a_limited_number_of_rides_and_the_next_one_continues(
    dynamo_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "MOST_READ", 4)
    monkeypatch.setattr(listings, "BATCH", 3)
    for number in range(10):
        dynamo_desk.rides.create(a_ride(ride_id=f"ride-{number}"))
    last = a_ride(ride_id="a", status=RideStatus.UNMATCHED, due_at=None)
    dynamo_desk.rides.create(last)
    first = dynamo_desk.history.newest(
        since=NOW, until=NOW, status=RideStatus.UNMATCHED, limit=5, start=None
    )
    assert first.items == ()
    assert first.next_key is not None
    assert newest(dynamo_desk, status=RideStatus.UNMATCHED) == [last]


def test_a_long_span_without_rides_is_crossed_in_steps(
    dynamo_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "MOST_DAYS_READ", 2)
    old = a_ride(requested_at=NOW - timedelta(days=7, hours=1))
    dynamo_desk.rides.create(old)
    assert newest(dynamo_desk, days=8) == [old]
    assert newest(dynamo_desk, days=7) == []


def test_an_unreadable_row_hides_no_other(
    dynamo_desk: Desk, request: pytest.FixtureRequest
) -> None:
    tables: Settings = request.getfixturevalue("tables")
    for number in range(2):
        dynamo_desk.rides.create(a_ride(ride_id=f"ride-{number}"))
    request.getfixturevalue("dynamodb").update_item(
        TableName=tables.rides_table,
        Key={"ride_id": {"S": "ride-0"}},
        UpdateExpression="REMOVE pickup",
    )
    assert [ride.ride_id for ride in newest(dynamo_desk)] == ["ride-1"]
    own = dynamo_desk.rides.list_of_rider("rider-1", status=None, limit=9, start=None)
    assert [ride.ride_id for ride in own.items] == ["ride-1"]


def test_an_unreadable_unicorn_hides_no_other(
    dynamo_desk: Desk, request: pytest.FixtureRequest
) -> None:
    tables: Settings = request.getfixturevalue("tables")
    fleet = [a_unicorn(unicorn_id=f"u{number}") for number in range(2)]
    for unicorn in fleet:
        dynamo_desk.unicorns.create(unicorn)
    request.getfixturevalue("dynamodb").update_item(
        TableName=tables.unicorns_table,
        Key={"unicorn_id": {"S": "u0"}},
        UpdateExpression="REMOVE #name",
        ExpressionAttributeNames={"#name": "name"},
    )
    assert dynamo_desk.unicorns.get_all(["u0", "u1", "u2"]) == {"u0": None, "u1": fleet[1]}
    assert all_pages(lambda start: dynamo_desk.roster.unicorns(limit=1, start=start)) == [fleet[1]]


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_the_whole_fleet_is_listed_without_the_items_of_accounts(desk: Desk, limit: int) -> None:
    fleet = [
        a_unicorn(unicorn_id=f"u{number}", account_sub=f"driver-{number}") for number in range(5)
    ]
    for unicorn in fleet:
        desk.unicorns.create(unicorn)
    gone = fleet[0].removed()
    desk.unicorns.save(fleet[0], gone)
    found = all_pages(lambda start: desk.roster.unicorns(limit=limit, start=start))
    found.sort(key=lambda unicorn: unicorn.unicorn_id)
    assert found == [gone, *fleet[1:]]
    assert found[0].state is UnicornState.REMOVED


def a_letter(number: int = 1, **changes: object) -> DeadLetter:
    letter = DeadLetter(
        dead_letter_id=f"ride-{number}",
        kind=DeadLetterKind.RIDE,
        cause="a test",
        set_aside_at=NOW + timedelta(seconds=number),
        ride_id=f"{number}",
        zone="842a107ffffffff",
    )
    return replace(letter, **changes)  # type: ignore[arg-type]


def test_a_dead_letter_is_kept_as_it_is(desk: Desk) -> None:
    message = DeadLetter(
        dead_letter_id="message-1",
        kind=DeadLetterKind.MESSAGE,
        cause="not a job",
        set_aside_at=NOW,
        excerpt='{\x00€ "',
    )
    for letter in (a_letter(), message):
        desk.dead_letters.put(letter)
        assert desk.dead_letters.get(letter.dead_letter_id) == letter
    assert desk.dead_letters.get("ride-2") is None


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_dead_letters_are_listed_newest_first(desk: Desk, limit: int) -> None:
    letters = [a_letter(number) for number in range(3)]
    for letter in letters:
        desk.dead_letters.put(letter)
    found = all_pages(lambda start: desk.dead_letters.newest(limit=limit, start=start))
    assert found == letters[::-1]


def test_a_letter_is_marked_as_replayed_unless_it_was_set_aside_again(desk: Desk) -> None:
    letter = a_letter()
    desk.dead_letters.put(letter)
    desk.dead_letters.mark_replayed(letter, NOW)
    assert desk.dead_letters.get("ride-1") == replace(letter, replayed_at=NOW)
    anew = replace(letter, set_aside_at=NOW + timedelta(hours=1))
    desk.dead_letters.put(anew)
    desk.dead_letters.mark_replayed(letter, NOW)
    assert desk.dead_letters.get("ride-1") == anew
    desk.dead_letters.mark_replayed(a_letter(7), NOW)
    assert desk.dead_letters.get("ride-7") is None


def test_revocations_are_not_listed_as_dead_letters(
    dynamo_desk: Desk, request: pytest.FixtureRequest
) -> None:
    tables: Settings = request.getfixturevalue("tables")
    client = request.getfixturevalue("dynamodb")
    revocations = DynamoRevocations(client, tables.operations_table)
    revocations.put("sub", "rider-1", revoked_at=NOW, expires_at=NOW + timedelta(days=1))
    assert dynamo_desk.dead_letters.newest(limit=5, start=None) == Page(())


def test_single_zones_and_all_zones_are_paused_and_resumed(desk: Desk) -> None:
    control = desk.control
    assert control.current() == DispatchState()
    assert control.set_paused("a", True) == DispatchState(zones=frozenset("a"))
    assert control.set_paused("b", True) == DispatchState(zones=frozenset("ab"))
    assert (
        control.set_paused("a", False) == control.current() == DispatchState(zones=frozenset("b"))
    )
    assert (
        control.set_paused(None, True) == control.current() == DispatchState(True, frozenset("b"))
    )
    assert control.set_paused("b", False) == DispatchState(True)
    control.set_paused("c", True)
    assert control.set_paused(None, False) == control.current() == DispatchState()
    assert control.set_paused("x", False) == DispatchState()


def test_a_level_holds_for_its_zone_and_off_everywhere_for_all(desk: Desk) -> None:
    control = desk.control
    assert control.current().level_of("a") is RepositioningLevel.LEAN
    assert control.reposition("a", RepositioningLevel.STRONG) == DispatchState(
        levels={"a": RepositioningLevel.STRONG}
    )
    control.reposition("b", RepositioningLevel.OFF)
    control.set_paused("a", True)
    assert control.current().level_of("a") is RepositioningLevel.OFF
    control.set_paused(None, False)
    now = control.current()
    assert now == DispatchState(
        levels={"a": RepositioningLevel.STRONG, "b": RepositioningLevel.OFF}
    )
    assert [now.level_of(zone) for zone in "abc"] == [
        RepositioningLevel.STRONG,
        RepositioningLevel.OFF,
        RepositioningLevel.LEAN,
    ]
    off = control.reposition(None, RepositioningLevel.OFF)
    assert [off.level_of(zone) for zone in "abc"] == [RepositioningLevel.OFF] * 3
    assert control.reposition(None, RepositioningLevel.LEAN) == control.current() == now


def test_a_replayed_ride_is_due_again(desk: Desk) -> None:
    ride = a_ride(status=RideStatus.UNMATCHED, due_at=None)
    desk.rides.create(ride)
    again = ride.replayed(datetime(2026, 11, 24, tzinfo=UTC), timedelta(seconds=180))
    desk.rides.save(ride, again)
    assert list(desk.rides.due(datetime(2026, 11, 25, tzinfo=UTC), 10)) == [again]


def test_forgetting_letters_deletes_them_and_no_others(desk: Desk) -> None:
    for number in range(3):
        desk.dead_letters.put(a_letter(number))
    kept, *forgotten = (a_letter(number).dead_letter_id for number in range(3))
    desk.dead_letters.forget([*forgotten, "never-was", ""])
    assert [desk.dead_letters.get(name) for name in forgotten] == [None, None]
    assert desk.dead_letters.get(kept) == a_letter(0)
    listed = desk.dead_letters.newest(limit=10, start=None).items
    assert [letter.dead_letter_id for letter in listed] == [kept]


def an_audit_entry(number: int, **changes: object) -> AuditEntry:
    fields: dict[str, Any] = {
        "audit_id": f"entry-{number}",
        "at": NOW + timedelta(seconds=number),
        "action": "ride canceled",
        "sub": "admin-1",
        "client_id": "client",
        "request_id": "request-1",
        "method": "POST",
        "route": "/v1/admin/rides/<ride_id>/cancel",
        "subjects": {"ride_id": f"ride-{number}"},
    }
    return AuditEntry(**fields | changes)


def test_audit_entries_are_listed_newest_first_and_page_by_page(desk: Desk) -> None:
    sparse = an_audit_entry(3, sub=None, client_id=None, route=None, subjects={})
    entries = [an_audit_entry(1), an_audit_entry(2), sparse]
    for entry in entries:
        desk.audit.put(entry)
    first = desk.audit.newest(limit=2, start=None)
    assert first.items == (entries[2], entries[1])
    rest = desk.audit.newest(limit=2, start=first.next_key)
    assert (rest.items, rest.next_key) == ((entries[0],), None)


def test_audit_entries_and_dead_letters_do_not_mix(desk: Desk) -> None:
    desk.audit.put(an_audit_entry(1))
    desk.dead_letters.put(a_letter(1))
    assert len(desk.audit.newest(limit=9, start=None).items) == 1
    assert len(desk.dead_letters.newest(limit=9, start=None).items) == 1


def test_an_unreadable_dead_letter_or_audit_entry_hides_no_other(
    dynamo_desk: Desk, request: pytest.FixtureRequest
) -> None:
    tables: Settings = request.getfixturevalue("tables")
    for number in range(3):
        dynamo_desk.audit.put(an_audit_entry(number))
        dynamo_desk.dead_letters.put(a_letter(number))
    for key, missing in (
        (f"audit#{an_audit_entry(1).audit_id}", "subjects"),
        (f"dead-letter#{a_letter(1).dead_letter_id}", "letter_kind"),
    ):
        request.getfixturevalue("dynamodb").update_item(
            TableName=tables.operations_table,
            Key={"operation_id": {"S": key}},
            UpdateExpression=f"REMOVE {missing}",
        )
    audit, letters = dynamo_desk.audit, dynamo_desk.dead_letters
    assert all_pages(lambda start: audit.newest(limit=1, start=start)) == [
        an_audit_entry(2),
        an_audit_entry(0),
    ]
    assert all_pages(lambda start: letters.newest(limit=1, start=start)) == [
        a_letter(2),
        a_letter(0),
    ]


def test_an_audit_entry_expires_after_ninety_days(
    dynamo_desk: Desk, dynamodb: DynamoDBClient, tables: Settings
) -> None:
    dynamo_desk.audit.put(an_audit_entry(0))
    key = {"operation_id": {"S": "audit#entry-0"}}
    item = dynamodb.get_item(TableName=tables.operations_table, Key=key)["Item"]
    assert int(item["expires_at"]["N"]) - NOW.timestamp() == pytest.approx(90 * 86400, abs=1)
