"""Patrols: check whether the unicorns that have a ride still call, and come.

A ride that goes well needs no writes. As often as `PATROL_EVERY` says, a patrol reads the unicorns
with a ride from the index of open rides, reads their entries in the fleet index, and yields the ids
of the rides that may need a step. It finds the rides in DynamoDB, so no lost message hides one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

from service.core import coming
from service.core.ports import Stores
from service.model import Presence, Unicorn, UnicornState
from service.model.errors import Unavailable
from service.model.presence import Patrol

BATCH_UNICORNS: Final = 200
"""The most unicorns that one call reads."""


def rides_to_check(
    ports: Stores, shard: str, patrols: Collection[Patrol], now: datetime
) -> Iterator[str]:
    """Ids of the shard's assigned rides with which something may be wrong.

    Rides that are due are left to the sweep. Makes two calls to Redis for each `BATCH_UNICORNS`
    rides, and one query to DynamoDB for each 1,000. Raises `Unavailable`.
    """
    assigned = iter(ports.rides.assigned(shard, now))
    while pairs := list(islice(assigned, BATCH_UNICORNS)):
        yield from _doubtful(ports, pairs, patrols, now)


def _doubtful(
    ports: Stores, pairs: Sequence[tuple[str, str]], patrols: Collection[Patrol], now: datetime
) -> Iterator[str]:
    """The rides with which something may be wrong, and those whose entry cannot be read."""
    try:
        yield from list(_checked(ports, pairs, patrols, now))
    except Unavailable:
        raise
    except Exception:
        if len(pairs) == 1:
            yield pairs[0][0]
            return
        for pair in pairs:
            yield from _doubtful(ports, [pair], patrols, now)


def _checked(
    ports: Stores, pairs: Sequence[tuple[str, str]], patrols: Collection[Patrol], now: datetime
) -> Iterator[str]:
    unicorn_ids = [unicorn_id for _, unicorn_id in pairs]
    seen, entries = ports.fleet.presences(unicorn_ids, now), ports.fleet.entries(unicorn_ids, now)
    for ride_id, unicorn_id in pairs:
        entry = entries.get(unicorn_id)
        unicorn = entry.unicorn if entry else None
        if _needs_check(ports, ride_id, unicorn, seen[unicorn_id], patrols, now):
            yield ride_id


def _needs_check(
    ports: Stores,
    ride_id: str,
    unicorn: Unicorn | None,
    seen: Presence,
    patrols: Collection[Patrol],
    now: datetime,
) -> bool:
    if unicorn and unicorn.ride_id != ride_id:
        # The two rows contradict each other, or one of the two indexes is a moment old.
        return True
    if unicorn and unicorn.state is UnicornState.ON_TRIP:
        # A trip needs no patrol: the sweep looks at it just after its silence can reach the limit
        # (`timeouts.TRIP_LOST_AFTER`).
        return False
    if Patrol.SILENCE in patrols and seen.silence > ports.rules.stale_after:
        return True
    return Patrol.COMING in patrols and coming.may_not_come(ports, unicorn, seen, now)
