"""Clocks that all processes share, as sources of `service.clock`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from service.stores.dynamodb.calls import get_batch
from service.stores.dynamodb.items import text
from service.stores.redis.link import RedisLink

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HALF_A_SECOND: Final = 0.5
"""`Date` is cut to whole seconds (RFC 9110, 5.6.7), so it is late by this much on average."""


def redis_clock(link: RedisLink) -> Callable[[], float]:
    """The `TIME` of Redis as a source: one remote call per reading, which raises `Unavailable`."""

    def read() -> float:
        before = time.monotonic()
        with link.use() as client:
            seconds, micros = client.time()
        return seconds + micros / 1e6 - (before + time.monotonic()) / 2

    return read


FIRST_SECONDS: Final = 0.5
"""How long the first call is retried. One attempt may take longer, but a process that starts does
not wait for it (`clock.FIRST_READ_SECONDS`)."""


class DynamoClock:
    """The `Date` of the last answer of a DynamoDB client as a source.

    Until there is an answer, each reading makes a call of its own, so that a new process does not
    go by Redis alone.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table
        self._last: tuple[str, float] | None = None
        client.meta.events.register("after-call.dynamodb", self._note)

    def __call__(self) -> float | None:
        if self._last is None:
            # Every answer has a date, also a refusal. No ride has this id.
            with suppress(Exception):
                get_batch(self._client, {self._table: [{"ride_id": text("clock")}]}, FIRST_SECONDS)
        if self._last is None:
            return None
        date, at = self._last
        try:
            return parsedate_to_datetime(date).timestamp() + HALF_A_SECOND - at
        except ValueError:
            return None

    def _note(self, http_response: Any, **_: Any) -> None:
        date = http_response.headers.get("Date")
        if date:
            self._last = (date, time.monotonic())
