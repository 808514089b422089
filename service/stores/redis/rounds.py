"""What a round reads and writes in Redis while its job has the lease of the zone.

Once the lease has expired, the methods of a round raise `LeaseLost` and write nothing, with two
exceptions: `begin_round` takes the lease again unless another job has it, and `clear` still deletes
how often its ride was tried alone. A release then does nothing. `leases`, beside this module,
explains mark and lease.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from service.core.ports import PlaceInLine, WaitingZone
from service.model import Pairing, Ride
from service.observability import traces
from service.observability.instruments import ROUND_RIDES, ROUND_SECONDS, TRIGGER_LAG
from service.stores.entries import (
    UnknownSchema,
    dump_place,
    dump_plan,
    load_place,
    load_plan,
    load_waiting_ride,
    note_unreadable,
    readable,
    trace_of,
)
from service.stores.records import UNREADABLE
from service.stores.redis import keys
from service.stores.redis.leases import LEASE_MS, RUNNING_MS, Lease, now_ms
from service.stores.redis.link import RedisLink

logger = logging.getLogger(__name__)

PLANS_MS: Final = 15_000
"""How long Redis keeps plans and the place in line, in milliseconds: longer than the time between
two rounds of a zone with a waiting ride. Each round makes new plans for the rides that it
serves."""


class RedisRoundLease(Lease):
    """`RoundLease` on Redis. Raises `LeaseLost` and `Unavailable`."""

    def __init__(self, link: RedisLink, zone: str, owner: str) -> None:
        super().__init__(link, zone, owner)
        self._began = 0.0
        self._report: dict[str, object] = {}
        self._suspects: set[str] | None = None
        """None until the first round begins."""

    _BEGIN: Final = """
    -- KEYS lease mark waiting plans running alone triggered resume
    -- ARGV owner lease_ms running_ms
    -- Returns the waiting rides, the plans, the suspects (each with how often it was tried alone),
    -- the instant of the oldest trigger that no round has read, and where the last job stopped.
    -- Notes all waiting rides as held by this round.
    local holder = redis.call('GET', KEYS[1])
    if holder and holder ~= ARGV[1] then return false end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    redis.call('DEL', KEYS[2])
    local suspects = {}
    for _, id in ipairs(redis.call('SMEMBERS', KEYS[5])) do
      if redis.call('HEXISTS', KEYS[3], id) == 1 then
        table.insert(suspects, id)
        table.insert(suspects, redis.call('HGET', KEYS[6], id) or '0')
      end
    end
    redis.call('DEL', KEYS[5])
    local ids = redis.call('HKEYS', KEYS[3])
    for first = 1, #ids, 1000 do
      redis.call('SADD', KEYS[5], unpack(ids, first, math.min(first + 999, #ids)))
    end
    redis.call('PEXPIRE', KEYS[5], ARGV[3])
    return {
      redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4]), suspects,
      redis.call('GETDEL', KEYS[7]), redis.call('GETDEL', KEYS[8])
    }
    """

    def begin_round(self) -> WaitingZone:
        self._began = time.perf_counter()
        read = keys.waiting, keys.plans, keys.running, keys.alone, keys.triggered, keys.resume
        rides, plans, suspects, triggered, resume = self._run_fenced(
            self._BEGIN, (keys.mark, *read), LEASE_MS, RUNNING_MS
        )
        self._observe(len(rides) // 2, triggered)
        self._suspects = set(suspects[::2])
        return WaitingZone(
            rides=self._readable_rides(_pairs(rides)),
            plans={
                ride_id: plan
                for ride_id, text in _pairs(plans)
                if (plan := readable("plan", load_plan, ride_id, text))
            },
            suspects={
                ride_id: int(count) if count.isdecimal() else 0
                for ride_id, count in _pairs(suspects)
            },
            resume_at=readable("place", load_place, resume),
        )

    _FINISH: Final = """
    -- KEYS lease plans running resume
    -- ARGV owner plans_ms running_ms resume suspect_count suspect… plan…
    -- Each plan is a ride id and a text.
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
    redis.call('DEL', KEYS[2], KEYS[3])
    local last = 5 + tonumber(ARGV[5])
    for i = 6, last do redis.call('SADD', KEYS[3], ARGV[i]) end
    redis.call('PEXPIRE', KEYS[3], ARGV[3])
    for i = last + 1, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
    if ARGV[4] ~= '' then redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[2]) end
    return 1
    """

    def finish_round(self, plans: Sequence[Pairing], resume_at: PlaceInLine | None) -> None:
        seconds = time.perf_counter() - self._began
        ROUND_SECONDS.observe(seconds)
        if self._report.get("rides"):
            # docker/ecs/scaling.yaml makes metrics from these fields.
            logger.info("round", extra={**self._report, "round_seconds": round(seconds, 4)})
        suspects = self._suspects or ()
        self._run_fenced(
            self._FINISH,
            (keys.plans, keys.running, keys.resume),
            PLANS_MS,
            RUNNING_MS,
            dump_place(resume_at) if resume_at else "",
            len(suspects),
            *suspects,
            *(part for plan in plans for part in (plan.ride_id, dump_plan(plan))),
        )

    _TRY_ALONE: Final = """
    -- KEYS lease alone  ARGV owner ride running_ms
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
    -- A count that cannot be read begins anew.
    local tried = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^%d+$') or 0
    redis.call('HSET', KEYS[2], ARGV[2], tried + 1)
    redis.call('PEXPIRE', KEYS[2], ARGV[3])
    return 1
    """

    def try_alone(self, ride_id: str) -> None:
        self._run_fenced(self._TRY_ALONE, (keys.alone,), ride_id, RUNNING_MS)

    _CLEAR: Final = """
    -- KEYS lease running alone  ARGV owner ride
    -- The process lives, whoever holds the lease by now, so the count is deleted first.
    redis.call('HDEL', KEYS[3], ARGV[2])
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
    redis.call('SREM', KEYS[2], ARGV[2])
    return 1
    """

    def clear(self, ride_id: str) -> None:
        self._run_fenced(self._CLEAR, (keys.running, keys.alone), ride_id)
        if self._suspects:
            self._suspects.discard(ride_id)

    def release_after_error(self) -> None:
        self.release(self._suspects)

    def _observe(self, rides: int, triggered: str | None) -> None:
        self._report = {"zone": self.zone, "rides": rides}
        ROUND_RIDES.observe(rides)
        if triggered and triggered.isdecimal():
            # The clocks of two machines may differ, so a negative lag counts as 0.
            lag = max(0, now_ms() - int(triggered)) / 1000
            TRIGGER_LAG.observe(lag)
            self._report["trigger_lag_seconds"] = lag

    def _readable_rides(self, entries: Iterable[tuple[str, str]]) -> Sequence[Ride]:
        """The rides. An unreadable entry is dropped; the sweep adds its ride again.

        An entry of another release stays, for that release or the sweep.
        """
        rides, unreadable = [], []
        for ride_id, text in entries:
            try:
                rides.append(load_waiting_ride(self.zone, ride_id, text))
                if traces.is_on():
                    traces.remember(ride_id, trace_of(text))
            except UnknownSchema as error:
                logger.warning("waiting ride skipped", extra={"cause": repr(error)})
            except UNREADABLE as error:
                note_unreadable("ride", error)
                unreadable.append(ride_id)
        if unreadable:
            with self._link.use() as client:
                client.hdel(keys.waiting(self.zone), *unreadable)
        return rides


def _pairs(flat: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The (field, value) pairs of a hash from a script's flat list."""
    return zip(flat[::2], flat[1::2], strict=True)
