"""The latest legs of each zone, to learn from, and the latest ETAs that riders were told.

A loss only delays learning.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final, cast

from service.matching.correction import Kind, Leg
from service.matching.quotes import QuotedEta
from service.observability.instruments import QUOTES, TOLD_RATIO
from service.stores.entries import readable
from service.stores.records import finite
from service.stores.redis import keys
from service.stores.redis.link import RedisStore

MOST_QUOTES: Final = 500
"""Quoted ETAs kept per zone and kind, for the staff's view of travel times."""
MOST_LEGS: Final = 4000
"""Legs kept per zone and kind; a fit on this many takes less than 0.1 s."""
REMEMBERED: Final = timedelta(days=7)
"""The legs of a zone without a new leg for this long are forgotten."""


class RedisLegs(RedisStore):
    """`Legs`: a bounded list per zone and kind, newest first. Raises `Unavailable`."""

    def add(self, zone: str, kind: Kind, leg: Leg | None, quote: QuotedEta) -> None:
        """One remote call. The metrics count the quote even if it fails."""
        _count(zone, kind, quote)
        quotes = (keys.quotes(zone, kind), quote, MOST_QUOTES)
        legs = (keys.legs(zone, kind), leg, MOST_LEGS)
        with self._link.pipe() as pipe:
            pipe.sadd(keys.LEARNING, zone)
            for key, note, most in (quotes, legs):
                if note:
                    pipe.lpush(key, json.dumps(note))
                    pipe.ltrim(key, 0, most - 1)
                    pipe.expire(key, REMEMBERED)
            pipe.execute()

    def quotes(self, zone: str, kind: Kind) -> Sequence[QuotedEta]:
        with self._link.use() as client:
            texts = cast("list[str]", client.lrange(keys.quotes(zone, kind), 0, -1))
        return [quote for text in texts if (quote := readable("quote", _quote, text))]

    def recent(self, zone: str, kind: Kind) -> Sequence[Leg]:
        with self._link.use() as client:
            texts = cast("list[str]", client.lrange(keys.legs(zone, kind), 0, -1))
        return [leg for text in texts if (leg := readable("leg", _leg, text))]

    def zones(self) -> Collection[str]:
        with self._link.use() as client:
            return cast("set[str]", client.smembers(keys.LEARNING))


def _count(zone: str, kind: Kind, quote: QuotedEta) -> None:
    QUOTES.labels(zone, kind, "in_time" if quote.was_in_time else "late").inc()
    if quote.ratio is not None:
        TOLD_RATIO.labels(zone, kind).observe(quote.ratio)


def _quote(text: str) -> QuotedEta:
    median, latest, took = json.loads(text)
    return QuotedEta(finite(median), finite(latest), None if took is None else finite(took))


def _leg(text: str) -> Leg:
    origin, destination, *numbers, unicorn_id = json.loads(text)
    return Leg(str(origin), str(destination), *map(finite, numbers), str(unicorn_id))  # type: ignore[call-arg,arg-type]
