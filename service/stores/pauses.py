"""The pause: DynamoDB is the truth, Redis and each process remember it for a moment.

How soon a change counts: within a second where Redis could be told, else when a sweep has told
it, a second later. Whether dispatch is paused must never be what stops it: if nobody can say, what
was last known holds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from service.model.errors import Unavailable
from service.model.operations import Pause
from service.stores.dynamodb.pauses import DynamoPauses
from service.stores.redis.pauses import RedisPauses

logger = logging.getLogger(__name__)

BELIEVED_SECONDS: Final = 1.0


class CachedPauses:
    """`Pauses` that cost a request or a round at most one question a second."""

    def __init__(
        self,
        truth: DynamoPauses,
        copy: RedisPauses,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._truth = truth
        self._copy = copy
        self._monotonic = monotonic
        self._known = Pause()
        self._believed_until = float("-inf")

    def current(self) -> Pause:
        now = self._monotonic()
        if now >= self._believed_until:
            # Set first, so that the other threads of this process do not ask as well.
            self._believed_until = now + BELIEVED_SECONDS
            self._known = self._recalled() or self._known
        return self._known

    def put(self, zone: str | None, paused: bool) -> Pause:
        """Pause or resume a zone, or (none) everything. Raises `Unavailable` if DynamoDB is."""
        return self._told(self._truth.put(zone, paused))

    def refresh(self) -> None:
        """Tell Redis the truth; whoever sweeps does."""
        try:
            self._told(self._truth.current())
        except Unavailable as error:
            logger.info("pause not read", extra={"cause": str(error)})

    def _recalled(self) -> Pause | None:
        try:
            known = self._copy.recall()
        except Unavailable:
            known = None
        try:
            return known or self._told(self._truth.current())
        except Unavailable as error:
            logger.info("pause not read", extra={"cause": str(error)})
            return None

    def _told(self, pause: Pause) -> Pause:
        self._known, self._believed_until = pause, self._monotonic() + BELIEVED_SECONDS
        try:
            self._copy.keep(pause)
        except Unavailable as error:
            logger.info("pause not copied", extra={"cause": str(error)})
        return pause
