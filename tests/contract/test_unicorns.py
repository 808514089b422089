"""Unicorns and their accounts behave the same in DynamoDB and in the fake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.core.ports import Unicorns, WriteConflict
from service.model import Location, Trip, Unicorn, UnicornState
from service.model.errors import AccountTaken, UnicornExists
from tests.support.builders import NOW, a_unicorn, a_usable_unicorn
from tests.support.racing import race, wins

FULL = a_usable_unicorn(
    version=9,
    account_sub="sub-1",
    auto_accept=False,
    state=UnicornState.ON_TRIP,
    ride_id="ride-1",
    trip=Trip(Location(40.7, -74.0), Location(-0.5, 1e-7), NOW),
)


def create(unicorns: Unicorns, unicorn: Unicorn) -> Unicorn:
    unicorns.create(unicorn)
    return unicorn


def driven_by(unicorn: Unicorn, account_sub: str | None) -> Unicorn:
    return replace(unicorn, version=unicorn.version + 1, account_sub=account_sub)


@pytest.mark.parametrize("unicorn", [a_unicorn(), FULL], ids=["new", "full"])
def test_a_unicorn_is_read_as_it_was_created(unicorns: Unicorns, unicorn: Unicorn) -> None:
    create(unicorns, unicorn)
    assert unicorns.get("u1") == unicorn


@pytest.mark.parametrize("unicorn_id", ["unknown", "", "x" * 2049, "account#sub-1"])
def test_there_is_no_unicorn_of_an_unknown_or_impossible_id(
    unicorns: Unicorns, unicorn_id: str
) -> None:
    create(unicorns, a_unicorn(account_sub="sub-1"))
    assert unicorns.get(unicorn_id) is None


def test_an_account_leads_to_its_unicorn(unicorns: Unicorns) -> None:
    create(unicorns, a_unicorn(account_sub="sub-1"))
    assert unicorns.of_account("sub-1") == "u1"
    assert unicorns.of_account("sub-2") is None


def test_an_id_in_use_is_refused(unicorns: Unicorns) -> None:
    first = create(unicorns, a_unicorn(account_sub="sub-1"))
    with pytest.raises(UnicornExists):
        unicorns.create(a_unicorn(name="Rocinante", account_sub="sub-2"))
    assert unicorns.get("u1") == first
    assert unicorns.of_account("sub-2") is None


def test_an_account_drives_one_unicorn(unicorns: Unicorns) -> None:
    create(unicorns, a_unicorn(account_sub="sub-1"))
    with pytest.raises(AccountTaken):
        unicorns.create(a_unicorn(unicorn_id="u2", account_sub="sub-1"))
    assert unicorns.get("u2") is None
    assert unicorns.of_account("sub-1") == "u1"


def test_of_many_enrolments_of_an_account_at_once_one_succeeds(unicorns: Unicorns) -> None:
    def enrol(n: int) -> bool:
        try:
            unicorns.create(a_unicorn(unicorn_id=f"u{n}", account_sub="sub-1"))
        except AccountTaken:
            return False
        return True

    enrolled = race(enrol, range(16))
    assert enrolled.count(True) == 1
    assert unicorns.of_account("sub-1") == f"u{enrolled.index(True)}"
    assert [unicorns.get(f"u{n}") is not None for n in range(16)] == enrolled


def test_saving_replaces_what_changed(unicorns: Unicorns) -> None:
    before = create(unicorns, a_unicorn(account_sub="sub-1"))
    after = before.with_availability(True, NOW)
    unicorns.save(before, after)
    assert unicorns.get("u1") == after
    assert unicorns.of_account("sub-1") == "u1"


def test_saving_on_an_outdated_version_returns_what_is_stored(unicorns: Unicorns) -> None:
    before = create(unicorns, a_unicorn())
    first = before.with_availability(True, NOW)
    unicorns.save(before, first)
    with pytest.raises(WriteConflict) as lost:
        unicorns.save(before, before.removed())
    assert (lost.value.unicorn, lost.value.ride) == (first, None)
    assert unicorns.get("u1") == first


def test_saving_a_unicorn_that_does_not_exist_is_a_conflict(unicorns: Unicorns) -> None:
    with pytest.raises(WriteConflict) as lost:
        unicorns.save(a_unicorn(), a_unicorn().with_availability(True, NOW))
    assert lost.value.unicorn is None
    assert unicorns.get("u1") is None


@pytest.mark.parametrize(
    "other",
    [{"state": UnicornState.RESERVED}, {"accepting": False}, {"ride_id": "ride-9"}],
    ids=["state", "accepting", "ride"],
)
def test_a_matching_version_alone_does_not_let_a_write_through(
    unicorns: Unicorns, other: dict[str, object]
) -> None:
    create(unicorns, a_usable_unicorn(**other))
    with pytest.raises(WriteConflict):
        unicorns.save(a_usable_unicorn(), a_usable_unicorn().removed())


def test_of_many_writers_at_once_one_wins(unicorns: Unicorns) -> None:
    before = create(unicorns, a_usable_unicorn())
    afters = [replace(before, version=2, name=f"name {n}") for n in range(32)]
    won = race(lambda after: wins(lambda: unicorns.save(before, after)), afters)
    assert won.count(True) == 1
    assert unicorns.get("u1") == afters[won.index(True)]


def test_a_unicorn_can_be_given_to_another_account(unicorns: Unicorns) -> None:
    before = create(unicorns, a_unicorn(account_sub="sub-1"))
    unicorns.save(before, driven_by(before, "sub-2"))
    assert unicorns.of_account("sub-1") is None
    assert unicorns.of_account("sub-2") == "u1"


def test_a_unicorn_cannot_be_given_to_an_account_that_has_one(unicorns: Unicorns) -> None:
    create(unicorns, a_unicorn(unicorn_id="u2", account_sub="sub-2"))
    before = create(unicorns, a_unicorn(account_sub="sub-1"))
    with pytest.raises(AccountTaken):
        unicorns.save(before, driven_by(before, "sub-2"))
    assert unicorns.get("u1") == before
    assert [unicorns.of_account(sub) for sub in ("sub-1", "sub-2")] == ["u1", "u2"]


def test_an_outdated_change_of_account_leaves_the_accounts_alone(unicorns: Unicorns) -> None:
    before = create(unicorns, a_unicorn(account_sub="sub-1"))
    unicorns.save(before, before.with_availability(True, NOW))
    with pytest.raises(WriteConflict):
        unicorns.save(before, driven_by(before, "sub-2"))
    assert [unicorns.of_account(sub) for sub in ("sub-1", "sub-2")] == ["u1", None]


def test_a_removed_unicorn_frees_its_account_but_never_its_id(unicorns: Unicorns) -> None:
    before = create(unicorns, a_unicorn(account_sub="sub-1"))
    unicorns.save(before, before.removed())
    assert unicorns.of_account("sub-1") is None
    with pytest.raises(UnicornExists):
        unicorns.create(a_unicorn(account_sub="sub-1"))
    create(unicorns, a_unicorn(unicorn_id="u2", account_sub="sub-1"))
    assert unicorns.of_account("sub-1") == "u2"


def test_many_unicorns_are_read_at_once_without_those_that_do_not_exist(unicorns: Unicorns) -> None:
    there = [a_unicorn(unicorn_id=f"many-{n}") for n in range(120)]
    for unicorn in there:
        unicorns.create(unicorn)
    names = [unicorn.unicorn_id for unicorn in there]
    found = unicorns.get_all([*names, "nobody", "account#driver-1", ""])
    assert found == {unicorn.unicorn_id: unicorn for unicorn in there}
    assert unicorns.get_all([]) == {}
