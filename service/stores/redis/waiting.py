"""Waiting rides per zone, and the mark and the lease that turn triggers into rounds.

The mark says that a round of the zone is asked for. The lease lets one job run the zone's rounds.

1. A producer adds its ride and tries to set the mark, in one call. If the mark is new, the producer
   publishes a job. If the mark exists, the round is already asked for: it publishes nothing.
2. The job takes the lease and deletes the mark, in one script.
3. A job that finds the lease taken ends without a round. It first sets the mark (again), for the
   rest of the lease. Each renewal of the lease renews this mark too. So the holder of the lease
   finds the mark at the end of its round, and runs one more.
4. Each round, also a second one of the same job, deletes the mark and *then* reads the rides. So a
   ride that is added later sets the mark again and gets another round.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Final, cast

from service.model import Pairing, Ride
from service.observability.instruments import UNSEEN
from service.stores.entries import dump_ride, load_plan, readable
from service.stores.records import millis
from service.stores.redis import keys, scripts
from service.stores.redis.leases import LEASE_MS, RedisRoundLease, now_ms
from service.stores.redis.link import Command, RedisLink, RedisStore
from service.stores.redis.moves import RequestCounter

MARK_MS: Final = 1000
"""How long the mark of a trigger lasts, in milliseconds. If the job of the trigger is lost, the
next trigger after this time publishes another job."""
NOTED_MS: Final = 600_000
"""How long Redis keeps the instant of a zone's oldest unread trigger (`keys.triggered`), in
milliseconds: longer than the mark, so that the instant shows how long triggers wait even if a job
or a mark was lost."""
UNSEEN_AFTER: Final = timedelta(seconds=1)
"""A second trigger of a ride after this time can only come from the sweep."""


class RedisWaitingRides(RedisStore):
    """`WaitingRides` and `RoundLeases` on Redis. Raises `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        super().__init__(link)
        self._counter = RequestCounter()

    def add(self, rides: Sequence[Ride]) -> Sequence[str]:
        by_zone: dict[str, list[Ride]] = {}
        for ride in rides:
            by_zone.setdefault(ride.zone, []).append(ride)
        now = now_ms()
        commands: list[Command] = []
        for zone, added in by_zone.items():
            entries = [text for ride in added for text in (ride.ride_id, dump_ride(ride))]
            commands += (
                ("HSET", keys.waiting(zone), *entries),
                # With `GET`, a key of a wrong type is an error, on which `link` deletes the key.
                # Without `GET`, the key would count as a mark.
                ("SET", keys.mark(zone), "1", "NX", "GET", "PX", MARK_MS),
                ("SET", keys.triggered(zone), now, "NX", "GET", "PX", NOTED_MS),
                ("SADD", keys.ZONES, zone),
            )
        for ride in rides:
            commands += self._counter.commands(ride)
        with self._link.use() as client:
            answers = client.exchange(commands)[: 4 * len(by_zone)]
        marked = [zone for zone, mark in zip(by_zone, answers[1::4], strict=True) if mark is None]
        for added, unread_since in zip(by_zone.values(), answers[2::4], strict=True):
            if unread_since and unread_since.isdecimal():
                UNSEEN.inc(sum(is_unseen(r, int(unread_since), now) for r in added))
        return marked

    def correct(self, ride: Ride) -> None:
        with self._link.use() as client:
            client.hset(keys.waiting(ride.zone), ride.ride_id, dump_ride(ride))

    def mark(self, zones: Iterable[str]) -> Sequence[str]:
        ordered, args = sorted(zones), [MARK_MS, now_ms(), NOTED_MS]
        calls = [
            ([keys.waiting(zone), keys.mark(zone), keys.triggered(zone)], args) for zone in ordered
        ]
        marked = self._link.run_all(scripts.MARK_IF_WAITING, calls)
        return [zone for zone, mine in zip(ordered, marked, strict=True) if mine]

    def discard(self, zone: str, ride_ids: Collection[str]) -> None:
        if ride_ids:
            with self._link.use() as client:
                client.hdel(keys.waiting(zone), *ride_ids)

    def plan_of(self, zone: str, ride_id: str) -> Pairing | None:
        with self._link.use() as client:
            text = cast("str | None", client.hget(keys.plans(zone), ride_id))
        return readable("plan", load_plan, ride_id, text)

    def take(self, zone: str) -> RedisRoundLease | None:
        owner = secrets.token_hex(8)
        names = keys.lease(zone), keys.mark(zone)
        taken = self._link.run(scripts.TAKE_LEASE, names, owner, LEASE_MS)
        return RedisRoundLease(self._link, zone, owner) if taken else None


def is_unseen(ride: Ride, unread_since: int, now: int) -> bool:
    """Whether no round has read the ride since its request, although it is triggered again now."""
    overdue_at = millis(ride.requested_at + UNSEEN_AFTER)
    return unread_since < overdue_at < now
