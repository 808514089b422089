"""The rides of each zone that wait for a unicorn. Adding one asks for a round (`leases`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Final, cast

from service.model import Pairing, Ride
from service.observability.instruments import UNSEEN
from service.stores.entries import dump_ride, load_plan, readable
from service.stores.records import millis
from service.stores.redis import keys
from service.stores.redis.leases import commands_to_mark, mark_if_waiting, now_ms
from service.stores.redis.link import Command, RedisLink, RedisStore
from service.stores.redis.moves import RequestCounter
from service.stores.redis.rounds import RedisRoundLease

UNSEEN_AFTER: Final = timedelta(seconds=1)
"""A second trigger of a ride after this time nearly always comes from the sweep."""


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
                *commands_to_mark(zone, now),
                ("SADD", keys.ZONES, zone),
            )
        for ride in rides:
            commands += self._counter.commands(ride)
        with self._link.use() as client:
            # Four answers for each zone: the second is the mark that was there before, the third
            # the instant of the oldest unread trigger.
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
        return mark_if_waiting(self._link, zones)

    def discard(self, zone: str, ride_ids: Collection[str]) -> None:
        if ride_ids:
            with self._link.use() as client:
                client.hdel(keys.waiting(zone), *ride_ids)

    def plan_of(self, zone: str, ride_id: str) -> Pairing | None:
        with self._link.use() as client:
            text = cast("str | None", client.hget(keys.plans(zone), ride_id))
        return readable("plan", load_plan, ride_id, text)

    def take(self, zone: str) -> RedisRoundLease | None:
        return RedisRoundLease.take(self._link, zone)


def is_unseen(ride: Ride, unread_since: int, now: int) -> bool:
    """Whether it seems that no round has read the ride since its request.

    `unread_since`: the instant (ms) of the zone's oldest trigger that no round has read.
    """
    overdue_at = millis(ride.requested_at + UNSEEN_AFTER)
    return unread_since < overdue_at < now
