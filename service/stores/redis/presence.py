"""Stores when unicorns called, and the reports of the processes that hear them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, cast

from service.core.coming import most_taken_back
from service.model import Advice, Hearing, Position, PositionProblem, Presence, SilentTogether
from service.model.presence import (
    FORGOTTEN_AFTER,
    HEARING_GAP,
    PATROL_EVERY,
    PROBLEM_AFTER,
    Patrol,
    silent_together,
)
from service.observability.instruments import NOT_COMING, SILENCES_LEFT
from service.stores.entries import load_advice, position_of, readable
from service.stores.records import UNREADABLE, instant_at, millis
from service.stores.redis import keys, scripts
from service.stores.redis.link import RedisLink, RedisStore

KEPT_SECONDS: Final = 86_400
"""How long a unicorn's hash is kept, in seconds. It shows how long the unicorn has been silent, so
it is kept long after the position is stale."""


class RedisPresence(RedisStore):
    """The part of `FleetIndex` about calls. `stale`: how long a position is fresh.

    All instants are the service's time (`service.clock`). Raises `Unavailable`.
    """

    def __init__(self, link: RedisLink, stale: timedelta) -> None:
        super().__init__(link)
        self._stale = stale
        self._gap = HEARING_GAP * stale

    def ignore_all(self, problems: Mapping[str, PositionProblem], now: datetime) -> None:
        if not problems:
            return
        with self._link.pipe() as pipe:
            for unicorn_id, problem in problems.items():
                name = keys.unicorn(unicorn_id)
                pipe.hsetnx(name, "problem_since", millis(now))
                pipe.hset(name, "problem", problem)
                pipe.expire(name, KEPT_SECONDS)
            pipe.execute()

    def hear(self, unicorn_id: str, now: datetime, *, refused: bool = False) -> None:
        name, at = keys.unicorn(unicorn_id), millis(now)
        with self._link.pipe() as pipe:
            pipe.hset(name, mapping={"heard": at, "refused" if refused else "called": at})
            pipe.expire(name, KEPT_SECONDS)
            pipe.execute()

    def presence(self, unicorn_id: str, now: datetime) -> Presence:
        return self.presences([unicorn_id], now)[unicorn_id]

    def presences(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, Presence]:
        calls = ("position", "heard", "placed", "problem", "problem_since")
        fields = (*calls, "ride", "trail", "advice")
        with self._link.pipe() as pipe:
            self._ask_hearing(pipe)
            for unicorn_id in unicorn_ids:
                pipe.hmget(keys.unicorn(unicorn_id), fields)
            epoch, listening, *found = pipe.execute()
        hearing = self._hearing((epoch, listening))
        return {
            unicorn_id: self._presence(unicorn_id, hearing, facts, now)
            for unicorn_id, facts in zip(unicorn_ids, found, strict=True)
        }

    def patrols_due(self, shard: str, now: datetime) -> Collection[Patrol]:
        with self._link.pipe() as pipe:
            for patrol in Patrol:
                # `PTTL` and not `EXISTS`: a key that lost its expiry would end the patrols.
                pipe.pttl(keys.patrolled(shard, patrol))
            left = pipe.execute()
        return [
            patrol
            for patrol, millis_left in zip(Patrol, left, strict=True)
            if not 0 < millis_left <= span(PATROL_EVERY[patrol])
        ]

    def note_patrols(self, shard: str, patrols: Collection[Patrol], now: datetime) -> None:
        if not patrols:
            return
        with self._link.pipe() as pipe:
            for patrol in patrols:
                lasts = span(PATROL_EVERY[patrol])
                pipe.set(keys.patrolled(shard, patrol), millis(now), px=lasts)
            pipe.execute()

    def _presence(
        self, unicorn_id: str, hearing: Hearing, facts: Sequence[str | None], now: datetime
    ) -> Presence:
        position, heard, placed, problem, problem_since, ride, trail, advice = facts
        return Presence(
            position=self._fresh(position_of(position), now),
            silence=hearing.silence(instant_or_none(heard), now),
            unplaced=hearing.silence(instant_or_none(placed), now),
            problem=problem_of(problem, problem_since, now=now),
            ride_version=ride_version_of(ride),
            trail=trail_of(trail),
            advice=advice_of(unicorn_id, advice, now),
        )

    def could_answer(self, unicorn_id: str, since: datetime, now: datetime) -> bool:
        with self._link.pipe() as pipe:
            self._ask_hearing(pipe)
            pipe.hmget(keys.unicorn(unicorn_id), "called", "refused")
            *hearing_facts, calls = pipe.execute()
        called, refused = map(instant_or_none, calls)
        return self._hearing(hearing_facts).could_answer(called, refused, since, now)

    def silent_together(self, unicorn_id: str, now: datetime) -> SilentTogether:
        with self._link.use() as client:
            busy = cast("set[str]", client.smembers(keys.BUSY))
            names = sorted({unicorn_id, *busy})
            with client.pipeline(transaction=False) as pipe:
                self._ask_hearing(pipe)
                for name in names:
                    pipe.hget(keys.unicorn(name), "heard")
                epoch, listening, *calls = pipe.execute()
        heard = {name: instant_or_none(at) for name, at in zip(names, calls, strict=True)}
        hearing = self._hearing((epoch, listening))
        found = silent_together(unicorn_id, heard, hearing, now, self._stale)
        if found.is_outage:
            SILENCES_LEFT.inc()
        return found

    def may_take_back(self, ride_id: str, unicorn_id: str, now: datetime) -> bool:
        member = f"{ride_id} {unicorn_id}"
        with self._link.use() as client:
            most = most_taken_back(client.scard(keys.BUSY))
        args = (member, millis(now), most, span(timedelta(minutes=1)))
        allowed = bool(self._link.run(scripts.TAKE_BACK, [keys.TAKEN_BACK], *args))
        if not allowed:
            NOT_COMING.labels("held_back").inc()
        return allowed

    def report_hearing(self, process: str, now: datetime, *, is_deaf: bool = False) -> None:
        spans = (span(self._gap), span(FORGOTTEN_AFTER * self._stale))
        names = keys.HEARING, keys.HEARING_PROCESSES
        self._link.run(scripts.REPORT_HEARING, names, process, millis(now), *spans, int(is_deaf))

    def withdraw_hearing(self, process: str) -> None:
        with self._link.use() as client:
            client.zrem(keys.HEARING_PROCESSES, process)

    def begin_epoch(self, now: datetime) -> bool:
        with self._link.use() as client:
            return bool(client.set(keys.EPOCH, millis(now), nx=True))

    def _fresh(self, position: Position | None, now: datetime) -> Position | None:
        return position if position and now - position.recorded_at <= self._stale else None

    def _ask_hearing(self, pipe: Any) -> None:
        pipe.get(keys.EPOCH)
        pipe.hmget(keys.HEARING, "since", "last")

    def _hearing(self, facts: Any) -> Hearing:
        epoch, (since, last) = facts
        return Hearing(
            epoch=instant_or_none(epoch),
            since=instant_or_none(since),
            last=instant_or_none(last),
            gap=self._gap,
        )


def advice_of(unicorn_id: str, text: str | None, now: datetime) -> Advice | None:
    """The advice; None if there is none or it no longer holds."""
    advice = readable("advice", load_advice, unicorn_id, text)
    return advice if advice and advice.holds(now) else None


def trail_of(text: str | None) -> tuple[Position, ...]:
    """The positions of a trail, oldest first; unreadable ones are left out."""
    lines = reversed((text or "").splitlines())
    return tuple(each for line in lines if (each := position_of(line)))


def ride_version_of(entry: str | None) -> int | None:
    """The version in a unicorn's note of its ride ("id version"); None without a readable one."""
    version = (entry or "").rpartition(" ")[2]
    return int(version) if version.isdecimal() else None


def reached_of(note: str | None, ride_id: str) -> datetime | None:
    """When a unicorn reached the pickup of this ride ("ride ms"); None for any other ride."""
    ride, _, at = (note or "").rpartition(" ")
    return instant_or_none(at) if ride == ride_id else None


@cache
def span(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def problem_of(
    text: str | None, since: str | None = None, *, now: datetime
) -> PositionProblem | None:
    """The problem that has lasted for a while; None for one that this release does not know."""
    start = instant_or_none(since)
    if start is None or now - start < PROBLEM_AFTER:
        return None
    return next((problem for problem in PositionProblem if problem == text), None)


def instant_or_none(text: str | None) -> datetime | None:
    """The instant of a text of milliseconds; None for no text or one that is not an instant."""
    try:
        return instant_at(int(text)) if text else None
    except UNREADABLE:
        return None
