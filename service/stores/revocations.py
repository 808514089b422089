"""Revocations: DynamoDB is the truth, Redis spares it most questions and may be gone.

How soon a revocation counts everywhere: at once where Redis could be told; else after the second
for which Redis keeps "not revoked" and the three for which each process believes it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from service.model.errors import Unavailable
from service.stores.dynamodb.operations import DynamoRevocations
from service.stores.redis.revocations import RedisRevocations

logger = logging.getLogger(__name__)


class CachedRevocations:
    """Revocations by kind (`jti`, `origin_jti` or `sub`) and value.

    Raises `Unavailable` if DynamoDB is, and Redis does not know either.
    """

    def __init__(self, truth: DynamoRevocations, cache: RedisRevocations) -> None:
        self._truth = truth
        self._cache = cache

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        """Refuse what `value` names from `revoked_at` on; an earlier instant changes nothing."""
        self._truth.put(kind, value, revoked_at=revoked_at, expires_at=expires_at)
        self._keep({kind: value}, {kind: revoked_at})

    def lookup(self, marks: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        """Since when each of these marks (kind to value) is revoked; the others are absent."""
        known = self._recall(marks)
        unknown = {kind: value for kind, value in marks.items() if kind not in known}
        revoked = {kind: since for kind, since in known.items() if since}
        if unknown:
            found = self._truth.lookup(unknown, now)
            self._keep(unknown, found)
            revoked.update(found)
        return revoked

    def _recall(self, marks: Mapping[str, str]) -> Mapping[str, datetime | None]:
        try:
            return self._cache.recall(marks)
        except Unavailable:
            return {}

    def _keep(self, marks: Mapping[str, str], revoked: Mapping[str, datetime]) -> None:
        try:
            self._cache.keep(marks, revoked)
        except Unavailable as error:
            logger.info("revocations not cached", extra={"cause": str(error)})
