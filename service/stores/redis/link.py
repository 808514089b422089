"""A process's link to Redis: every wait is bounded, and failures become `Unavailable`.

Redis can fail in three ways. They are distinguished here for every client, the broker's too:

- The connection is lost, silent, or leads to a server that is not the primary. It is dropped, and
  the next one resolves the name again.
- The server refuses a command for now (full, busy, not permitted). The connection is kept.
- The command itself is wrong. That operation fails, and the log shows a defect. If the reason is a
  key of a wrong type, all such keys are deleted, so that the next call succeeds (`misplaced`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum, auto
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import ConnectionError, NoScriptError, RedisError, ResponseError, TimeoutError
from redis.retry import Retry

from service.breaker import Breaker
from service.model.errors import Unavailable
from service.observability.instruments import REDIS_ERRORS, REDIS_SECONDS
from service.stores.redis.misplaced import delete_misplaced

logger = logging.getLogger(__name__)

NOT_PRIMARY: Final = frozenset({"LOADING", "MASTERDOWN", "READONLY", "UNBLOCKED"})
"""Answers of a server that is not (yet) a primary; the name may lead to another server by now."""

REFUSES_FOR_NOW: Final = frozenset(
    {"BUSY", "CLUSTERDOWN", "DENIED", "MISCONF", "NOPERM", "NOREPLICAS", "OOM", "TRYAGAIN"}
)
"""Answers of a server that refuses the command until an operator, or time, removes the cause."""

BREAK_SECONDS: Final = 1.0
"""Time without calls after a lost connection, so that a dead Redis costs one time-out a second and
not one per request."""

SEARCH_SECONDS: Final = 1.0
"""The least time in seconds between two searches for keys of a wrong type, because a search reads
every key."""

MOST_CONNECTIONS: Final = 4096
"""The most connections of a process: as many as an API process has clients. With redis-py's default
of 100, the next client would get an error that looks like a failure of Redis."""

_WRONG_TYPE: Final = "WRONGTYPE"

Command = Sequence[Any]
"""The name of a command of Redis and its arguments."""


class NotPrimary(ConnectionError):
    """The server is not the primary; the connection is closed."""


class _Checked:
    """Closes a connection whose server is not the primary, and sends the command once more.

    The command was not carried out, so it may be sent again. `on_not_primary` is called so that
    other connections to the same server are dropped too.
    """

    def __init__(
        self, *args: Any, on_not_primary: Callable[[], None] | None = None, **options: Any
    ) -> None:
        # Other failures are not retried: the sweep is a better fallback for callers than waiting.
        once_more = Retry(NoBackoff(), 1, supported_errors=(NotPrimary,))
        super().__init__(*args, **options | {"retry": once_more})
        self._on_not_primary = on_not_primary

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except ResponseError as error:
            if failure_of(error) is not Failure.LOST:
                raise
            if self._on_not_primary:
                self._on_not_primary()
            self.disconnect()  # type: ignore[attr-defined]
            raise NotPrimary(str(error)) from error


class CheckedConnection(_Checked, redis.Connection):
    """For `redis://`."""


class CheckedTlsConnection(_Checked, redis.SSLConnection):
    """For `rediss://`."""


class Failure(Enum):
    """The kind of a failure; see the top of this module."""

    LOST = auto()
    REFUSED = auto()
    DEFECT = auto()


def failure_of(error: BaseException | None) -> Failure:
    """The kind of failure by the client's exception; anything that is not an answer is `LOST`."""
    if not isinstance(error, RedisError) or isinstance(error, ConnectionError | TimeoutError):
        return Failure.LOST
    code = _code_of(error)
    if code in NOT_PRIMARY:
        return Failure.LOST
    return Failure.REFUSED if code in REFUSES_FOR_NOW else Failure.DEFECT


def _code_of(error: RedisError) -> str:
    """The code at the beginning of an error answer, such as `OOM`; `ERR` if there is none."""
    return error.status_code or str(error).partition(" ")[0]


class Client(redis.Redis):
    """redis-py's client, with a faster call (`exchange`) for frequent commands."""

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands in one call and return the plain answers.

        Takes a third of a pipeline's CPU. Like a pipeline without a transaction, it raises the
        first error among the answers. If the server is not the primary, it sends all commands once
        more.
        """
        connection = self.connection_pool.get_connection()
        try:
            try:
                return _answers(connection, commands)
            except NotPrimary:
                return _answers(connection, commands)
        except ResponseError:
            raise
        except BaseException:
            # Unread answers may still arrive; the next user of the connection must not get them.
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise
        finally:
            self.connection_pool.release(connection)


def _packed(commands: Sequence[Command]) -> bytes:
    """The commands in Redis's protocol (RESP). redis-py's own packing takes three times as long."""
    lines = []
    for command in commands:
        lines.append(b"*%d" % len(command))
        for each in command:
            text = str(each).encode("utf-8", "surrogateescape")
            lines += (b"$%d" % len(text), text)
    return b"\r\n".join((*lines, b""))


def _answers(connection: Any, commands: Sequence[Command]) -> list[Any]:
    connection.send_packed_command([_packed(commands)])
    answers = []
    for _ in commands:
        try:
            answers.append(connection.read_response())
        except ResponseError as error:
            answers.append(error)
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer
    return answers


def connect(url: str, *, timeout_seconds: float, name: str = "wildrydes") -> Client:
    """A client for `redis://` or `rediss://` whose every wait is bounded.

    `name`: shown by `CLIENT LIST`. The client connects on first use.
    """
    is_secure = urlsplit(url).scheme == "rediss"
    client: Client = Client.from_url(  # type: ignore[assignment] # the stubs forget the class
        url,
        connection_class=CheckedTlsConnection if is_secure else CheckedConnection,
        client_name=name,
        decode_responses=True,
        # Bytes that are not UTF-8 reach the reader of their entry. Strict decoding would fail the
        # whole answer, and so a round, because of one entry.
        encoding_errors="surrogateescape",
        # A Redis that does not answer must not block anything; the default waits for ever.
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        # The kernel, or a check before reuse, finds half-open connections, so that no command does.
        socket_keepalive=True,
        health_check_interval=5,
        max_connections=MOST_CONNECTIONS,
    )
    pool = client.connection_pool
    pool.connection_kwargs["on_not_primary"] = lambda: drop_connections(pool)
    return client


def drop_connections(pool: redis.ConnectionPool) -> None:
    """Close every connection of the pool, because the others would meet the same failure."""
    # Connections in use belong to other threads, which close them when they are done.
    pool.update_active_connections_for_reconnect()
    pool.disconnect_free_connections()


class RedisLink:
    """A client behind a breaker. Use as `with link.use() as client: …`."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._script: Callable[[str], Script] = cache(client.register_script)
        self._breaker = Breaker(BREAK_SECONDS)
        self._searched = Breaker(SEARCH_SECONDS)

    @contextmanager
    def use(self) -> Iterator[Client]:
        """The client, in a context in which any failure of Redis becomes `Unavailable`."""
        if self._breaker.is_open:
            raise Unavailable("Redis failed a moment ago")
        began = time.perf_counter()
        try:
            yield self.client
            REDIS_SECONDS.observe(time.perf_counter() - began)
        except RedisError as error:
            REDIS_ERRORS.labels(type(error).__name__).inc()
            failure = failure_of(error)
            if failure is Failure.LOST:
                self._breaker.trip()
                drop_connections(self.client.connection_pool)
            elif failure is Failure.DEFECT:
                logger.exception("Redis refused a command that is wrong")
                self._mend(error)
            raise Unavailable(f"Redis: {type(error).__name__}") from error

    @contextmanager
    def pipe(self) -> Iterator[Any]:
        """`use` with a pipeline (no transaction), which the caller executes inside the context."""
        with self.use() as client, client.pipeline(transaction=False) as pipe:
            yield pipe

    def run(self, script: str, names: Sequence[str], *args: Any) -> Any:
        """The answer of a script to keys and arguments: one call. Raises `Unavailable`."""
        return self.run_all(script, [(names, args)])[0]

    def run_all(
        self,
        script: str,
        calls: Sequence[tuple[Sequence[str], Sequence[Any]]],
        extra: Sequence[Command] = (),
    ) -> Sequence[Any]:
        """The script's answers to many (keys, arguments): one call. Raises `Unavailable`.

        `extra`: further commands for the same call. Redis may carry them out twice.
        """
        if not calls:
            return []
        sha = self._script(script).sha
        commands = [*(("EVALSHA", sha, len(names), *names, *args) for names, args in calls), *extra]
        with self.use() as client:
            try:
                return client.exchange(commands)[: len(calls)]
            except NoScriptError:
                # A new Redis does not have the script yet, so load it and try again.
                client.script_load(script)
                return client.exchange(commands)[: len(calls)]

    def _mend(self, error: RedisError) -> None:
        if _WRONG_TYPE in str(error) and not self._searched.is_open:
            self._searched.trip()
            with suppress(RedisError):
                delete_misplaced(self.client)


class RedisStore:
    """A store on a link. Its methods raise `Unavailable`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
