"""A copy of the pause for the rounds, written anew every second by the sweep."""

from __future__ import annotations

import json
from typing import Final, cast

from service.model.operations import Pause
from service.stores.entries import UNREADABLE
from service.stores.redis import keys
from service.stores.redis.link import RedisLink

COPY_MS: Final = 5000
"""A copy that nobody writes anew (no sweep runs) is not believed for long."""


class RedisPauses:
    """Raises `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def recall(self) -> Pause | None:
        """The copy, if there is one that this release can read."""
        with self._link.use() as client:
            text = cast("str | None", client.get(keys.PAUSE))
        try:
            everywhere, zones = json.loads(text or "")
            return Pause(bool(everywhere), frozenset(zones))
        except UNREADABLE:
            return None

    def keep(self, pause: Pause) -> None:
        text = json.dumps([pause.everywhere, sorted(pause.zones)])
        with self._link.use() as client:
            client.set(keys.PAUSE, text, px=COPY_MS)
