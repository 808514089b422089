"""The latest legs of each zone, for the job that learns from them. Losing them loses only time."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final, cast

from service.matching.correction import Kind, Leg
from service.stores.entries import UNREADABLE, note_unreadable
from service.stores.redis import keys
from service.stores.redis.link import RedisLink

logger = logging.getLogger(__name__)

MOST_LEGS: Final = 4000
"""Of each zone and kind. A fit on so many takes less than a tenth of a second."""
REMEMBERED: Final = timedelta(days=7)
"""Without a new leg for so long a zone is forgotten."""


class RedisLegs:
    """`Legs`: a bounded list per zone and kind, newest first. Raises `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def add(self, zone: str, legs: Mapping[Kind, Leg]) -> None:
        """One remote call."""
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            pipe.sadd(keys.LEARNING, zone)
            for kind, leg in legs.items():
                key = keys.legs(zone, kind)
                pipe.lpush(key, json.dumps(leg))
                pipe.ltrim(key, 0, MOST_LEGS - 1)
                pipe.expire(key, REMEMBERED)
            pipe.execute()

    def recent(self, zone: str, kind: Kind) -> Sequence[Leg]:
        with self._link.use() as client:
            texts = cast("list[str]", client.lrange(keys.legs(zone, kind), 0, -1))
        return [leg for text in texts if (leg := _leg(text))]

    def zones(self) -> Collection[str]:
        with self._link.use() as client:
            return cast("set[str]", client.smembers(keys.LEARNING))


def _leg(text: str) -> Leg | None:
    """None for what this release cannot read, which is then only not learned from."""
    try:
        origin, destination, *numbers, unicorn_id = json.loads(text)
        leg = Leg(str(origin), str(destination), *map(float, numbers), str(unicorn_id))  # type: ignore[call-arg,arg-type]
    except (*UNREADABLE, TypeError) as error:
        note_unreadable("leg", error)
        return None
    return leg
