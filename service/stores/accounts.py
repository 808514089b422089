"""Which unicorn an account drives, remembered for a while: every position asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from service.core.ports import Unicorns
from service.model import Unicorn

REMEMBERED_SECONDS: Final = 30.0
"""How long an account that an admin moved to another unicorn may still act as the former one, in
processes other than the one that moved it. Without it every position would cost a read."""
MOST: Final = 100_000


class RememberedAccounts:
    """`Unicorns` that asks for an account's unicorn once in `REMEMBERED_SECONDS`."""

    def __init__(self, unicorns: Unicorns, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._unicorns = unicorns
        self._monotonic = monotonic
        self._known: dict[str, tuple[str, float]] = {}

    def of_account(self, account_sub: str) -> str | None:
        known = self._known.get(account_sub)
        if known and self._monotonic() < known[1]:
            return known[0]
        unicorn_id = self._unicorns.of_account(account_sub)
        if unicorn_id is not None:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[account_sub] = (unicorn_id, self._monotonic() + REMEMBERED_SECONDS)
        return unicorn_id

    def create(self, unicorn: Unicorn) -> None:
        self._unicorns.create(unicorn)

    def get(self, unicorn_id: str) -> Unicorn | None:
        return self._unicorns.get(unicorn_id)

    def get_all(self, unicorn_ids: Collection[str]) -> Mapping[str, Unicorn]:
        return self._unicorns.get_all(unicorn_ids)

    def save(self, before: Unicorn, after: Unicorn) -> None:
        self._unicorns.save(before, after)
        if before.account_sub:
            self._known.pop(before.account_sub, None)
