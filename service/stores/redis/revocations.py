"""What is known about revocations, kept in Redis for a moment so that DynamoDB is asked less.

Both answers are kept: "not revoked" so shortly that a revocation which could not be noted here is
still obeyed in time, "revoked" for longer. Newer knowledge wins: an answer that was looked up
before a revocation and arrives after it does not hide it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from service.stores.records import instant_of, instant_text
from service.stores.redis import keys, scripts
from service.stores.redis.link import RedisLink

NOT_REVOKED_MS: Final = 1000
"""With the three seconds of each process's own memory, less than the five that are promised."""
REVOKED_MS: Final = 60_000
"""May outlast the revocation by this much, which harms nobody: its tokens have ended before."""

_NOT_REVOKED: Final = ""
"""Sorts before every instant."""


class RedisRevocations:
    """A cache of revocations by kind and value. Raises `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def recall(self, marks: Mapping[str, str]) -> Mapping[str, datetime | None]:
        """By kind, since when the mark is revoked, or none if it is known not to be.

        Marks of which nothing is known are absent.
        """
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for kind, value in marks.items():
                pipe.get(keys.revocation(kind, value))
            answers = pipe.execute()
        return {
            kind: None if answer == _NOT_REVOKED else instant_of(answer)
            for kind, answer in zip(marks, answers, strict=True)
            if answer is not None
        }

    def keep(self, marks: Mapping[str, str], revoked: Mapping[str, datetime]) -> None:
        """Remember that of these marks those in `revoked` are revoked, since then, and no other."""
        with self._link.use() as client, client.pipeline(transaction=False) as pipe:
            for kind, value in marks.items():
                since = revoked.get(kind)
                answer = instant_text(since) if since else _NOT_REVOKED
                lifetime = REVOKED_MS if since else NOT_REVOKED_MS
                name = keys.revocation(kind, value)
                pipe.eval(scripts.KEEP_LATEST, 1, name, answer, str(lifetime))
            pipe.execute()
