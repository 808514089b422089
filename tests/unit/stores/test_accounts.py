"""Accounts are remembered for a while, and forgotten when they may have moved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.stores.accounts import REMEMBERED_SECONDS, RememberedAccounts
from tests.support.builders import a_unicorn
from tests.support.fakes import FakeUnicorns


class CountingUnicorns(FakeUnicorns):
    """Counts how often an account is asked for."""

    asked = 0

    def of_account(self, account_sub: str) -> str | None:
        self.asked += 1
        return super().of_account(account_sub)


@pytest.fixture
def stored() -> CountingUnicorns:
    return CountingUnicorns()


def test_an_account_is_asked_for_once_in_a_while(stored: CountingUnicorns) -> None:
    time = [0.0]
    accounts = RememberedAccounts(stored, lambda: time[0])
    accounts.create(a_unicorn(account_sub="driver"))
    for _ in range(5):
        assert accounts.of_account("driver") == "u1"
    assert stored.asked == 1
    time[0] = REMEMBERED_SECONDS
    accounts.of_account("driver")
    assert stored.asked == 2


def test_an_account_without_a_unicorn_is_asked_for_again(stored: CountingUnicorns) -> None:
    accounts = RememberedAccounts(stored)
    assert accounts.of_account("driver") is None
    accounts.create(a_unicorn(account_sub="driver"))
    assert accounts.of_account("driver") == "u1"


def test_an_account_that_moves_is_forgotten(stored: CountingUnicorns) -> None:
    accounts = RememberedAccounts(stored)
    unicorn = a_unicorn(account_sub="driver")
    accounts.create(unicorn)
    accounts.of_account("driver")
    accounts.save(unicorn, replace(unicorn, version=2, account_sub=None))
    assert accounts.of_account("driver") is None
