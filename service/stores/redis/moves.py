"""Where riders asked for rides lately, and where idle unicorns were told to wait. All may be lost.

A rider counts once per zone and quarter of an hour, however often it asks, so that no rider weighs
more than another. A digest of the quarter and the rider's id chooses one of 65,536 fields of a hash
in Redis. So the hash has a limit and holds no rider's id. Riders who share a field count as one: of
1,000 riders about 8 are not counted, of 5,000 about 190.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

import h3

from service.core.ports import LastRun, Outlook, RecentRequest
from service.matching.demand import PICKUP_RESOLUTION, Move
from service.memory import BoundedMemory
from service.model import Advice, Location, Ride
from service.stores.entries import SCHEMA, dump_advice, load_advice, load_list, load_plan, readable
from service.stores.records import instant_at, instant_or_none, millis
from service.stores.redis import keys
from service.stores.redis.link import Command, RedisStore
from service.stores.redis.unicorns import KEPT_SECONDS

QUARTER: Final = 900
"""A rider counts once in each period of this many seconds."""
PROLONGED_SECONDS: Final = 2.0
"""How often a process sets the expiry of the hashes in which it counts. So after a loss of Redis a
hash has no expiry until the first request that comes later than this."""
MOST_ZONES: Final = 512
REMEMBERED: Final = timedelta(seconds=2 * QUARTER)
"""How long requests are kept: the present quarter of an hour and the one before."""
RUN_KEPT: Final = timedelta(hours=1)
"""How long a zone's last run is kept, with the unicorns that follow advice, if no other run
comes."""


class RequestCounter:
    """Counts riders who ask for rides, with commands that are added to an existing call."""

    def __init__(self) -> None:
        self._prolonged = BoundedMemory[str, float](MOST_ZONES)
        """The time on the monotonic clock at which the expiry of each hash was set. Two threads may
        set an expiry twice."""

    def commands(self, ride: Ride) -> list[Command]:
        """The commands that count the ride's rider once."""
        at = ride.requested_at.timestamp()
        quarter = int(at) // QUARTER
        digest = hashlib.blake2b(f"{quarter} {ride.rider_id}".encode(), digest_size=2).digest()
        pickup = ride.pickup
        cell = h3.latlng_to_cell(pickup.latitude, pickup.longitude, PICKUP_RESOLUTION)
        name = keys.requests(ride.zone, quarter)
        count = ("HSETNX", name, int.from_bytes(digest), f"{cell} {int(at * 1000)}")
        # The expiry is not set with each request, because two more commands cost three times as
        # much.
        now, prolonged_at = time.monotonic(), self._prolonged[name]
        if prolonged_at is not None and now - prolonged_at < PROLONGED_SECONDS:
            return [count]
        self._prolonged[name] = now
        lasts = int(REMEMBERED.total_seconds())
        return [count, ("EXPIRE", name, lasts), ("ZADD", keys.REQUEST_ZONES, at, ride.zone)]


class RedisMoves(RedisStore):
    """`MoveMemory` on Redis. Raises `Unavailable`."""

    def zones(self, now: datetime) -> Sequence[str]:
        oldest = (now - REMEMBERED).timestamp()
        with self._link.pipe() as pipe:
            pipe.zremrangebyscore(keys.REQUEST_ZONES, "-inf", oldest)
            pipe.zrange(keys.REQUEST_ZONES, 0, -1)
            _, zones = pipe.execute()
        return sorted(zones)

    def outlook(self, zone: str, now: datetime) -> Outlook:
        quarter = int(now.timestamp()) // QUARTER
        with self._link.pipe() as pipe:
            pipe.hvals(keys.requests(zone, quarter - 1))
            pipe.hvals(keys.requests(zone, quarter))
            pipe.hgetall(keys.plans(zone))
            pipe.get(keys.moves(zone))
            pipe.get(keys.EPOCH)
            before, here, plans, last, epoch = pipe.execute()
        return Outlook(
            requests=list(_requests([*before, *here])),
            planned=frozenset(
                plan.unicorn_id
                for ride_id, text in plans.items()
                if (plan := readable("plan", load_plan, ride_id, text))
            ),
            last=readable("run", _load_run, last),
            since=instant_or_none(epoch),
        )

    def advise(self, zone: str, run: LastRun, advice: Sequence[Advice]) -> None:
        with self._link.use() as client:
            before = cast("list[str]", client.hkeys(keys.advice(zone)))
        with self._link.pipe() as pipe:
            pipe.set(keys.moves(zone), _dump_run(run), ex=RUN_KEPT)
            pipe.delete(keys.advice(zone))
            for unicorn_id in {*before} - {each.unicorn_id for each in advice}:
                pipe.hdel(keys.unicorn(unicorn_id), "advice")
            for each in advice:
                text = dump_advice(each)
                pipe.hset(keys.unicorn(each.unicorn_id), "advice", text)
                pipe.expire(keys.unicorn(each.unicorn_id), KEPT_SECONDS)
                pipe.hset(keys.advice(zone), each.unicorn_id, text)
            pipe.expire(keys.advice(zone), RUN_KEPT)
            pipe.execute()

    def advised(self, zones: Collection[str], now: datetime) -> Sequence[Advice]:
        with self._link.pipe() as pipe:
            for zone in zones:
                pipe.hgetall(keys.advice(zone))
            found = [
                readable("advice", load_advice, unicorn_id, text)
                for texts in pipe.execute()
                for unicorn_id, text in texts.items()
            ]
        return sorted((a for a in found if a and a.holds(now)), key=lambda each: each.unicorn_id)


def _requests(texts: Sequence[str]) -> Iterator[RecentRequest]:
    for text in texts:
        if found := readable("request", _load_request, text):
            yield found


def _load_request(text: str) -> RecentRequest:
    cell, at = text.split(" ")
    if h3.get_resolution(cell) != PICKUP_RESOLUTION:
        raise ValueError("the cell of another release")
    return RecentRequest(cell=cell, at=instant_at(int(at)))


def _dump_run(run: LastRun) -> str:
    moves = [
        [m.unicorn_id, m.cell, m.target.latitude, m.target.longitude, m.seconds, m.metres]
        for m in run.moves
    ]
    predicted = [millis(run.predicted_at), run.predicted] if run.predicted_at else None
    rest = [dict(run.goal_by_unicorn), dict(run.trust), sorted(run.followers), predicted]
    return json.dumps([SCHEMA, millis(run.at), moves, *rest])


def _load_run(text: str) -> LastRun:
    at, moves, goals, trust, followers, predicted = load_list(text)
    predicted_at, riders = predicted or (None, {})
    return LastRun(
        at=instant_at(at),
        moves=[
            Move(
                str(unicorn_id),
                str(cell),
                Location(latitude, longitude),
                float(seconds),
                float(metres),
            )
            for unicorn_id, cell, latitude, longitude, seconds, metres in moves
        ],
        goal_by_unicorn={unicorn_id: str(cell) for unicorn_id, cell in goals.items()},
        trust={unicorn_id: float(each) for unicorn_id, each in trust.items()},
        followers=frozenset(map(str, followers)),
        predicted_at=instant_at(predicted_at) if predicted_at else None,
        predicted={cell: float(each) for cell, each in riders.items()},
    )
