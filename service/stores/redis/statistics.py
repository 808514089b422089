"""Counters by the minute: each minute has a small hash, which Redis keeps for two hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from service.core.statistics import BOUNDS, Tally, minute_of, wait_class
from service.stores.redis import keys
from service.stores.redis.link import RedisStore

REMEMBERED: Final = timedelta(hours=2)


class RedisStatistics(RedisStore):
    """`Statistics` on Redis. Raises `Unavailable`."""

    def matched(self, seconds: float, now: datetime) -> None:
        name = _name(minute_of(now))
        with self._link.pipe() as pipe:
            pipe.hincrby(name, f"wait:{wait_class(seconds)}", 1)
            pipe.hincrby(name, "waited_ms", round(1000 * seconds))
            pipe.expire(name, REMEMBERED)
            pipe.execute()

    def counted(self, busy: int, on_duty: int, now: datetime) -> None:
        name = _name(minute_of(now))
        with self._link.pipe() as pipe:
            pipe.hset(name, mapping={"busy": busy, "on_duty": on_duty})
            pipe.expire(name, REMEMBERED)
            pipe.execute()

    def of(self, minutes: Sequence[datetime]) -> Sequence[Tally]:
        with self._link.pipe() as pipe:
            for minute in minutes:
                pipe.hgetall(_name(minute))
            return list(map(_tally, pipe.execute()))


def _name(minute: datetime) -> str:
    return keys.statistics(int(minute.timestamp()))


def _tally(texts: Mapping[str, str]) -> Tally:
    """Fields that are not numbers are ignored, because these are only statistics."""
    held = {name: int(text) for name, text in texts.items() if text.isdecimal()}
    return Tally(
        seconds=held.get("waited_ms", 0) / 1000,
        waits=tuple(held.get(f"wait:{at}", 0) for at in range(len(BOUNDS))),
        busy=held.get("busy"),
        on_duty=held.get("on_duty"),
    )
