"""A process's link to Redis: never hangs, fails fast while Redis is away, says `Unavailable`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from service.model.errors import Unavailable
from service.observability.instruments import REDIS_ERRORS, REDIS_SECONDS

BREAK_SECONDS: Final = 1.0
"""After a failed call nothing is tried for this long: a dead Redis costs one time-out a second,
not one per request."""


MOST_CONNECTIONS: Final = 4096
"""As many as an API process serves clients at once; redis-py's 100 are an error to the next one,
which then looks like a Redis that failed."""


def connect(url: str, *, timeout_seconds: float) -> redis.Redis:
    """A client for `redis://` or `rediss://` whose every wait is bounded."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        # Bytes that are no UTF-8 reach the reader of their entry; strict decoding would fail the
        # whole answer, and with it a round, for one entry.
        encoding_errors="surrogateescape",
        # A silent Redis must not hang anything; the default waits for ever.
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        # Half-open connections are found by the kernel and before reuse, not by a lost command.
        socket_keepalive=True,
        health_check_interval=5,
        max_connections=MOST_CONNECTIONS,
        # One failure is the answer: callers have a better plan B (the sweep) than waiting.
        retry=Retry(NoBackoff(), 0),
    )


class RedisLink:
    """A client behind a breaker. Use as `with link.use() as client: …`."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._broken_until = 0.0

    @contextmanager
    def use(self) -> Iterator[redis.Redis]:
        """The client; any failure inside becomes `Unavailable` and opens the breaker."""
        if time.monotonic() < self._broken_until:
            raise Unavailable("Redis failed a moment ago")
        began = time.perf_counter()
        try:
            yield self.client
            REDIS_SECONDS.observe(time.perf_counter() - began)
        except RedisError as error:
            REDIS_ERRORS.labels(type(error).__name__).inc()
            self._broken_until = time.monotonic() + BREAK_SECONDS
            raise Unavailable(f"Redis: {type(error).__name__}") from error


def run_all(
    link: RedisLink, script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
) -> Sequence[Any]:
    """The script's answers for many (keys, arguments), in one call. Raises `Unavailable`."""
    if not calls:
        return []
    with link.use() as client:
        try:
            return _run_loaded(client, script, calls)
        except NoScriptError:
            # A new Redis. Loading on demand saves every other call a question.
            client.script_load(script.script)
            return _run_loaded(client, script, calls)


def _run_loaded(
    client: redis.Redis, script: Script, calls: Sequence[tuple[Sequence[str], Sequence[Any]]]
) -> Sequence[Any]:
    with client.pipeline(transaction=False) as pipe:
        for names, arguments in calls:
            pipe.evalsha(script.sha, len(names), *names, *arguments)
        return pipe.execute()
