"""The issuer's public keys. One background thread fetches them and keeps them fresh.

Readers take an immutable snapshot without a lock, so a token whose kid is known never waits for
the network. A token with an unknown kid asks the thread for a fetch and waits until it ends. All
that wait at the same time share one fetch, and the `Schedule` decides whether one is allowed.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from service.auth.errors import AuthUnavailable
from service.auth.jwks import Key, read_key_set
from service.auth.refresher import Refresher
from service.auth.schedule import AbsentKids, Schedule, Timing

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys by kid. A fetch that changes no key keeps the same mapping object."""

    keys: Mapping[str, Key] = field(default_factory=dict)
    fetched_at: float = -math.inf


NO_KEYS: Final = Snapshot()


class Keys(Protocol):
    """Where a verifier gets its keys."""

    def current(self) -> Snapshot:
        """The keys that may be used now, without waiting; `NO_KEYS` if there are none."""

    def is_absent(self, kid: str) -> bool:
        """Whether it is certain, without waiting, that `seek` would not find the kid."""

    def seek(self, kid: str) -> Snapshot:
        """A snapshot that has the kid, or that proves that there is no such key.

        May wait for one fetch. Raises `AuthUnavailable` if neither snapshot is available.
        """


class PinnedKeys:
    """Keys read once from a file; they never change."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` or `BadKeySet`."""
        self._snapshot = Snapshot(read_key_set(path.read_bytes()).keys, 0.0)

    def current(self) -> Snapshot:
        return self._snapshot

    def is_absent(self, kid: str) -> bool:
        return kid not in self._snapshot.keys

    def seek(self, kid: str) -> Snapshot:
        return self._snapshot

    def ready(self) -> bool:
        return True

    def age_seconds(self) -> float:
        return 0.0


class KeySet:
    """Keys fetched from an endpoint. `fetch` returns the document or raises."""

    def __init__(
        self,
        fetch: Callable[[], bytes],
        *,
        timing: Timing = Timing(),  # noqa: B008 - immutable
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._timing = timing
        self._clock = clock
        self._schedule = Schedule(timing, random.uniform)
        self._snapshot = NO_KEYS
        self._ignored: Mapping[str, int] = {}
        self._absent = AbsentKids(timing)
        self._refresher = Refresher(self._refresh, self._schedule, clock, timing.deadline)

    def current(self) -> Snapshot:
        snapshot = self._snapshot
        return snapshot if self._age(snapshot) < self._timing.hard else NO_KEYS

    def is_absent(self, kid: str) -> bool:
        # The schedule first, the keys second: a fetch that ends in between has stored its keys.
        if self._is_worth_a_fetch(kid, self._clock()):
            return False
        snapshot = self._snapshot
        return kid not in snapshot.keys and self._age(snapshot) < self._timing.soft

    def seek(self, kid: str) -> Snapshot:
        self.start()
        requested_at = self._clock()
        if self._is_worth_a_fetch(kid, requested_at):
            self._refresher.wait_for_attempt(is_serving=self.current() is not NO_KEYS)
        snapshot = self.current()
        if kid not in snapshot.keys:
            self._prove_absent(kid, snapshot, requested_at)
        return snapshot

    def ready(self) -> bool:
        """Whether tokens can be verified; starts the background thread if it is not running."""
        self.start()
        return self.current() is not NO_KEYS

    def age_seconds(self) -> float:
        """Seconds since the last successful fetch; infinite before the first."""
        return self._age(self._snapshot)

    def start(self) -> None:
        """Start the background thread; a second call does nothing."""
        self._refresher.start()

    def close(self) -> None:
        """End the background thread."""
        self._refresher.close()

    def _is_worth_a_fetch(self, kid: str, now: float) -> bool:
        return self._refresher.can_attempt(now) and not self._absent.holds(kid, now)

    def _age(self, snapshot: Snapshot) -> float:
        return self._clock() - snapshot.fetched_at

    def _prove_absent(self, kid: str, snapshot: Snapshot, requested_at: float) -> None:
        """Remember that the kid is absent, if a fetch since the request proves it.

        Raises `AuthUnavailable` if the set is stale: a stale set does not prove a kid absent.
        """
        if self._age(snapshot) >= self._timing.soft:
            raise AuthUnavailable(self._schedule.retry_after(self._clock()))
        if snapshot.fetched_at >= requested_at:
            self._absent.add(kid, self._clock())

    def _refresh(self) -> None:
        document = read_key_set(self._fetch())
        before = self._snapshot
        if document.keys == before.keys:
            self._snapshot = replace(before, fetched_at=self._clock())
        else:
            self._snapshot = Snapshot(document.keys, self._clock())
            logger.info("keys changed", extra={"kids": sorted(document.keys)})
        self._report(document.ignored)

    def _report(self, ignored: Mapping[str, int]) -> None:
        if ignored and ignored != self._ignored:
            logger.warning("keys ignored", extra={"ignored": dict(ignored)})
        self._ignored = ignored
