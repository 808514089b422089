"""Many processes with many threads that all want the same few unicorns."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

from service.core.ports import WriteConflict
from service.model import Ride, Unicorn
from service.settings import Settings
from service.stores.dynamodb.assignments import DynamoAssignments
from service.stores.dynamodb.client import dynamodb_client
from tests.support.builders import a_matched_pair

THREADS = 32
PROCESSES = 4


@dataclass(frozen=True)
class Contest:
    """Every process gets all rides and all unicorns and knows nothing of the others."""

    rides: Sequence[Ride]
    unicorns: Sequence[Unicorn]
    tables: Settings
    environment: Mapping[str, str]

    def run(self, seed: int) -> list[tuple[str, str]]:
        """One process: what its threads have won, as (ride, unicorn)."""
        os.environ.update(self.environment)
        client = dynamodb_client(self.tables)
        # The transactions of so many on so few items are in each other's way: wait for longer.
        store = DynamoAssignments(
            client, self.tables.rides_table, self.tables.unicorns_table, patience_seconds=20
        )
        _starts[0].wait()
        with ThreadPoolExecutor(THREADS) as pool:
            won = list(pool.map(lambda n: self._claim_share(store, seed, n), range(THREADS)))
        client.close()
        return [pair for pairs in won for pair in pairs]

    def _claim_share(
        self, store: DynamoAssignments, seed: int, thread: int
    ) -> list[tuple[str, str]]:
        """One thread: claims rides of its own for unicorns it has not yet lost to anybody."""
        chance, free, won = random.Random(seed * THREADS + thread), list(self.unicorns), []
        for ride in self.rides[thread::THREADS]:
            if not free:
                break
            unicorn = chance.choice(free)
            matched, reserved = a_matched_pair(ride, unicorn)
            try:
                store.commit((ride, matched), (unicorn, reserved))
            except WriteConflict as lost:
                if lost.unicorn:
                    free.remove(unicorn)
            else:
                free.remove(unicorn)
                won.append((ride.ride_id, unicorn.unicorn_id))
        return won


def run_in_processes(contest: Contest) -> list[tuple[str, str]]:
    """Everything that any process believes to have won."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(PROCESSES, timeout=60)
    with ProcessPoolExecutor(PROCESSES, context, _remember, (start,)) as pool:
        return [pair for won in pool.map(contest.run, range(PROCESSES)) for pair in won]


_starts: list[Barrier] = []
"""A barrier reaches a process only as it starts."""


def _remember(start: Barrier) -> None:
    _starts.append(start)
