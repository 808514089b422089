"""Waiting rides per zone, and the mark, lease and `again` flag that turn triggers into rounds.

A producer adds its ride and sets the mark in one call; only who set the mark publishes a job. The
job deletes the mark and takes the lease in one script, or leaves `again` for the lease holder. A
round clears both *before* it reads the rides, so whatever is added later asks for another one.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final, cast

from redis.commands.core import Script

from service.model import Pairing, Ride
from service.model.errors import Unavailable
from service.observability.instruments import (
    ROUND_RIDES,
    ROUND_SECONDS,
    TRIGGER_LAG,
    UNSEEN,
)
from service.stores.entries import UNREADABLE, UnknownSchema, dump_ride, load_ride
from service.stores.redis import keys, scripts, triggers
from service.stores.redis.link import RedisLink

logger = logging.getLogger(__name__)

MARK_MS: Final = 1000
"""A job that was lost is published again by the next request after this."""
LEASE_MS: Final = 2000
"""Twice a job's work budget; a holder that died blocks its zone no longer."""
AGAIN_MS: Final = 10_000
RUNNING_MS: Final = 600_000
"""Longer than any zone goes without a round while a ride waits in it."""
PLANS_MS: Final = 15_000
"""Plans are made again in every round; waiting rides see one every few seconds."""


class RedisWaitingRides:
    """`WaitingRides` and `RoundLeases` on Redis. Raises `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._take = link.client.register_script(scripts.TAKE_LEASE)
        self._begin = link.client.register_script(scripts.BEGIN_ROUND)
        self._mark = link.client.register_script(scripts.MARK_IF_WAITING)

    def add(self, ride: Ride) -> bool:
        zone = ride.zone
        with self._link.use() as client, client.pipeline() as pipe:
            pipe.hset(keys.waiting(zone), ride.ride_id, dump_ride(ride))
            pipe.set(keys.mark(zone), "1", nx=True, px=MARK_MS)
            now = triggers.now_ms()
            pipe.set(keys.triggered(zone), now, nx=True, get=True, px=triggers.NOTED_MS)
            _, marked, unread_since = pipe.execute()
        if unread_since and triggers.is_unseen(ride, int(unread_since), now):
            UNSEEN.inc()
        return bool(marked)

    def correct(self, ride: Ride) -> None:
        with self._link.use() as client:
            client.hset(keys.waiting(ride.zone), ride.ride_id, dump_ride(ride))

    def mark(self, zones: Iterable[str]) -> Sequence[str]:
        ordered, args = sorted(zones), [MARK_MS, triggers.now_ms(), triggers.NOTED_MS]
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for zone in ordered:
                names = [keys.waiting(zone), keys.mark(zone), keys.triggered(zone)]
                self._mark(keys=names, args=args, client=pipe)
            marked = pipe.execute()
        return [zone for zone, mine in zip(ordered, marked, strict=True) if mine]

    def discard(self, zone: str, ride_ids: Collection[str]) -> None:
        if ride_ids:
            with self._link.use() as client:
                client.hdel(keys.waiting(zone), *ride_ids)

    def plan_of(self, zone: str, ride_id: str) -> Pairing | None:
        with self._link.use() as client:
            text = cast("str | None", client.hget(keys.plans(zone), ride_id))
        return _load_plan(ride_id, text) if text else None

    @contextmanager
    def sweep_turn(self) -> Iterator[bool]:
        """Whether it is this process's turn to sweep; while Redis is away it is everybody's."""
        owner, mine = secrets.token_hex(8), True
        with suppress(Unavailable), self._link.use() as client:
            mine = bool(client.set(keys.SWEEP_LEASE, owner, nx=True, px=LEASE_MS))
        yield mine
        with suppress(Unavailable), self._link.use() as client:
            client.eval(scripts.RELEASE_LEASE, 1, keys.SWEEP_LEASE, owner)

    def take(self, zone: str) -> RedisRoundLease | None:
        owner = secrets.token_hex(8)
        with self._link.use():
            taken = self._take(
                keys=[keys.mark(zone), keys.lease(zone), keys.again(zone)],
                args=[owner, LEASE_MS, AGAIN_MS],
            )
        return RedisRoundLease(self._link, self._begin, zone, owner) if taken else None


class RedisRoundLease:
    """One job's turn on a zone."""

    def __init__(self, link: RedisLink, begin: Script, zone: str, owner: str) -> None:
        self._link = link
        self._begin = begin
        self._owner = owner
        self._began = 0.0
        self._report: dict[str, object] = {}
        self.zone = zone
        self.suspects: Collection[str] = ()
        self.unreadable: Mapping[str, str] = {}

    def begin_round(self) -> tuple[Sequence[Ride], Mapping[str, Pairing]]:
        zone = self.zone
        self._began = time.perf_counter()
        kinds = (
            keys.again,
            keys.mark,
            keys.lease,
            keys.waiting,
            keys.plans,
            keys.running,
            keys.triggered,
        )
        with self._link.use():
            rides, plans, suspects, triggered = self._begin(
                keys=[kind(zone) for kind in kinds], args=[self._owner, LEASE_MS, RUNNING_MS]
            )
        self._report = {"zone": zone, "rides": len(rides) // 2}
        if triggered:
            # Two machines' clocks: a little before the trigger is at once.
            lag = max(0, triggers.now_ms() - int(triggered)) / 1000
            TRIGGER_LAG.observe(lag)
            self._report["trigger_lag_seconds"] = lag
        ROUND_RIDES.observe(len(rides) // 2)
        self.suspects = frozenset(suspects)
        known, self.unreadable = _sorted_out(_pairs(rides))
        return known, {
            ride_id: plan for ride_id, text in _pairs(plans) if (plan := _load_plan(ride_id, text))
        }

    def finish_round(self, plans: Sequence[Pairing]) -> None:
        seconds = time.perf_counter() - self._began
        ROUND_SECONDS.observe(seconds)
        if self._report.get("rides"):
            # docker/ecs/scaling.yaml makes metrics of these fields.
            logger.info("round", extra={**self._report, "round_seconds": round(seconds, 4)})
        name, running = keys.plans(self.zone), keys.running(self.zone)
        with self._link.use() as client, client.pipeline() as pipe:
            pipe.delete(name, running)
            if self.suspects:
                pipe.sadd(running, *self.suspects)
                pipe.pexpire(running, RUNNING_MS)
            if plans:
                pipe.hset(name, mapping={plan.ride_id: _dump_plan(plan) for plan in plans})
                pipe.pexpire(name, PLANS_MS)
            pipe.execute()

    def clear(self, ride_id: str) -> None:
        with self._link.use() as client:
            client.srem(keys.running(self.zone), ride_id)

    def leave(self) -> bool:
        names = [keys.mark(self.zone), keys.lease(self.zone), keys.again(self.zone)]
        with self._link.use() as client:
            return bool(client.eval(scripts.LEAVE_LEASE, 3, *names, self._owner))

    def release(self) -> None:
        with self._link.use() as client:
            client.eval(scripts.RELEASE_LEASE, 1, keys.lease(self.zone), self._owner)


def _pairs(flat: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The fields of a hash, as a script returns them."""
    return zip(flat[::2], flat[1::2], strict=True)


def _sorted_out(entries: Iterable[tuple[str, str]]) -> tuple[list[Ride], dict[str, str]]:
    """Rides, and the entries that nobody can read.

    What another release wrote is in neither: it is left to that release, or to the sweep.
    """
    rides, unreadable = [], {}
    for ride_id, text in entries:
        try:
            rides.append(load_ride(text))
        except UnknownSchema as error:
            logger.warning("waiting ride passed over", extra={"cause": repr(error)})
        except UNREADABLE:
            unreadable[ride_id] = text
    return rides, unreadable


def _dump_plan(plan: Pairing) -> str:
    return json.dumps([1, plan.unicorn_id, plan.pickup_eta_seconds, plan.pickup_distance_metres])


def _load_plan(ride_id: str, text: str) -> Pairing | None:
    """None for what another release wrote: the next round makes plans anew."""
    try:
        _, unicorn_id, eta, distance = json.loads(text)
    except UNREADABLE:
        return None
    return Pairing(ride_id, unicorn_id, eta, distance)
