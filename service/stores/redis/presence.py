"""Stores when unicorns called, and the reports of the processes that hear them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from service.core.coming import most_taken_back
from service.model import Hearing, Position, PositionProblem, Presence, SilentTogether
from service.model.presence import (
    FORGOTTEN_AFTER,
    HEARING_GAP,
    PATROL_EVERY,
    Patrol,
    silent_together,
)
from service.observability.instruments import NOT_COMING, SILENCES_LEFT
from service.stores.entries import position_of
from service.stores.records import in_millis, instant_or_none, millis
from service.stores.redis import keys
from service.stores.redis.link import RedisLink, RedisStore
from service.stores.redis.unicorns import (
    KEPT_SECONDS,
    advice_of,
    problem_of,
    ride_version_of,
    trail_of,
)


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
        names = ("position", "heard", "placed", "problem", "problem_since", "ride")
        fields = (*names, "trail", "advice")
        with self._link.pipe() as pipe:
            self._ask_hearing(pipe)
            for unicorn_id in unicorn_ids:
                pipe.hmget(keys.unicorn(unicorn_id), fields)
            epoch, span, *found = pipe.execute()
        hearing = self._hearing((epoch, span))
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
            if not 0 < millis_left <= in_millis(PATROL_EVERY[patrol])
        ]

    def note_patrols(self, shard: str, patrols: Collection[Patrol], now: datetime) -> None:
        if not patrols:
            return
        with self._link.pipe() as pipe:
            for patrol in patrols:
                lasts = in_millis(PATROL_EVERY[patrol])
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
            unicorn_ids = sorted({unicorn_id, *busy})
            with client.pipeline(transaction=False) as pipe:
                self._ask_hearing(pipe)
                for each_id in unicorn_ids:
                    pipe.hget(keys.unicorn(each_id), "heard")
                epoch, span, *calls = pipe.execute()
        heard = {
            each_id: instant_or_none(at) for each_id, at in zip(unicorn_ids, calls, strict=True)
        }
        hearing = self._hearing((epoch, span))
        found = silent_together(unicorn_id, heard, hearing, now, self._stale)
        if found.is_outage:
            SILENCES_LEFT.inc()
        return found

    _TAKE_BACK: Final = """
    -- KEYS taken_back  ARGV member now_ms most minute_ms
    -- Adds the member unless `most` members were added within the last minute. Returns whether it
    -- is among them.
    local now = tonumber(ARGV[2])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]))
    if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
      if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
      redis.call('ZADD', KEYS[1], now, ARGV[1])
      redis.call('PEXPIRE', KEYS[1], ARGV[4])
    end
    return 1
    """

    def may_take_back(self, ride_id: str, unicorn_id: str, now: datetime) -> bool:
        member = f"{ride_id} {unicorn_id}"
        with self._link.use() as client:
            most = most_taken_back(client.scard(keys.BUSY))
        args = (member, millis(now), most, in_millis(timedelta(minutes=1)))
        allowed = bool(self._link.run(self._TAKE_BACK, [keys.TAKEN_BACK], *args))
        if not allowed:
            NOT_COMING.labels("held_back").inc()
        return allowed

    _REPORT_HEARING: Final = """
    -- KEYS hearing hearing_processes  ARGV process now_ms gap_ms forgotten_ms is_deaf
    -- Notes since when, and until when, every process heard. The time begins anew after a
    -- gap, if a clock was set back, and while a process is deaf or missing. Missing: it reported,
    -- and then stopped without signing off.
    local now, gap = tonumber(ARGV[2]), tonumber(ARGV[3])
    redis.call('ZADD', KEYS[2], now, ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[4]))
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. now + gap, '+inf')
    local last = tonumber(redis.call('HGET', KEYS[1], 'last')) or -math.huge
    local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
    if ARGV[5] == '1' or tonumber(oldest) < now - gap or math.abs(now - last) > gap then
      redis.call('HSET', KEYS[1], 'since', ARGV[2], 'last', ARGV[2])
    elseif tonumber(oldest) > last then
      redis.call('HSET', KEYS[1], 'last', oldest)
    end
    """

    def report_hearing(self, process: str, now: datetime, *, is_deaf: bool = False) -> None:
        spans = (in_millis(self._gap), in_millis(FORGOTTEN_AFTER * self._stale))
        names = keys.HEARING, keys.HEARING_PROCESSES
        self._link.run(self._REPORT_HEARING, names, process, millis(now), *spans, int(is_deaf))

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
