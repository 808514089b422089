"""The broker: its transport, names of queues and jobs, the producer, and the lengths of queues.

The API publishes by task name, so it never imports a worker. Messages hold only ids. A message that
cannot be sent does no harm, because the ride is in DynamoDB and the sweep finds it. So a publish
fails fast and is not repeated.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError, RedisError

from service.breaker import Breaker
from service.clock import BOUND
from service.model.errors import Unavailable
from service.model.operations import QueueLength
from service.observability import traces
from service.observability.instruments import PUBLISHED
from service.stores.records import UNREADABLE
from service.stores.redis.link import (
    CheckedConnection,
    CheckedTlsConnection,
    Failure,
    RedisStore,
    drop_connections,
    failure_of,
)

logger = logging.getLogger(__name__)

DISPATCH_QUEUE: Final = "dispatch"
SWEEP_QUEUE: Final = "sweep"
QUEUES: Final = (DISPATCH_QUEUE, SWEEP_QUEUE)
MEDIA_QUEUE: Final = "media"
"""The media role's own queue, so that no ride waits behind a photo."""

KEY_PREFIX: Final = "{wildrydes}:"
"""The prefix of all broker keys. Its hash tag keeps them in one slot of a Redis Cluster."""
UNACKED: Final = f"{KEY_PREFIX}unacked"
"""Hash of the messages that workers took (kombu's name): tag to message, exchange, routing key."""

ROUND_TASK: Final = "dispatch.round"
SWEEP_TASK: Final = "dispatch.sweep"
LEARN_TASK: Final = "dispatch.learn"
COUNT_TASK: Final = "dispatch.count"
CLEAN_TASK: Final = "media.clean"
REPOSITION_ALL_TASK: Final = "dispatch.reposition_all"
REPOSITION_TASK: Final = "dispatch.reposition"

BREAK_SECONDS: Final = 1.0


class Channel(kombu_redis.Channel):
    """kombu's channel, on connections that check the answers of Redis (`redis.link`)."""

    connection_class = CheckedConnection
    connection_class_ssl = CheckedTlsConnection

    def _connparams(self, asynchronous: bool = False) -> Any:
        # An acknowledgement on a closed channel raises `AttributeError` in kombu 5.7.0, which ends
        # a busy worker when Redis restarts (11 of 12 restarts; as a connection error 0 of 24).
        # Remove this once upstream raises a connection error; a test fails then.
        if getattr(self.connection, "client", None) is None:
            raise ConnectionError("the channel is closed")
        params = super()._connparams(asynchronous)  # type: ignore[misc] # the stubs lack it
        return params | {"on_not_primary": self._drop_connections}

    def _drop_connections(self) -> None:
        pools = (self._pool, self._async_pool)  # type: ignore[attr-defined] # the stubs lack them
        for pool in filter(None, pools):
            drop_connections(pool)


class Transport(kombu_redis.Transport):
    """kombu's transport; all errors of Redis count as errors that its users handle."""

    Channel = Channel

    def _get_errors(self) -> Any:
        errors = super()._get_errors()  # type: ignore[misc] # the stubs lack it
        return errors._replace(channel_errors=(*errors.channel_errors, RedisError))


# kombu's own table of transports by URL scheme; every Celery application of the process reads it.
TRANSPORT_ALIASES |= dict.fromkeys(("redis", "rediss"), f"{__name__}:{Transport.__name__}")


def broker_tls(broker_url: str) -> dict[str, Any] | None:
    """Celery's `broker_use_ssl` for this URL; parameters in the URL take precedence.

    Without it, kombu would accept any certificate for a `rediss://` URL without parameters.
    """
    is_secure = urlsplit(broker_url).scheme == "rediss"
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED} if is_secure else None


def broker_options(*, timeout_seconds: float, name: str = "wildrydes") -> dict[str, Any]:
    """Transport options that API and workers share; `CLIENT LIST` shows `name`."""
    return {
        "global_keyprefix": KEY_PREFIX,
        "client_name": name,
        # Without these, a Redis that accepts but never answers would block a publish for ever.
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 5,
        # One attempt to connect for a publish; the default goes on for four seconds more.
        "max_retries": 0,
    }


ROUND_EXPIRES: Final = timedelta(seconds=30)
"""How long a job for a round is valid. A round that was not run within half a minute has been
triggered again since."""

SWEEP_EXPIRES: Final = 2 * BOUND
"""How long a job for a sweep is valid. The next sweep follows within a second, but two clocks may
each be off by the bound unnoticed, and a job must not expire because of that."""


class CeleryRoundQueue:
    """`RoundQueue` on a Celery broker. Raises `Unavailable`; a breaker avoids further time-outs."""

    def __init__(
        self,
        broker_url: str,
        *,
        timeout_seconds: float,
        name: str = "wildrydes",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`now`: the time by the clock of Redis, by which workers check if a job has expired."""
        self._now = now
        self._app = Celery("producer", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            broker_transport_options=broker_options(timeout_seconds=timeout_seconds, name=name),
            broker_use_ssl=broker_tls(broker_url),
        )
        self._breaker = Breaker(BREAK_SECONDS)

    def publish(self, zone: str, request_id: str) -> None:
        """Publish a round of the zone: one remote call."""
        self._send(ROUND_TASK, DISPATCH_QUEUE, (zone, request_id), expires=ROUND_EXPIRES)

    def publish_sweep(self) -> None:
        """Publish one more job for a sweep, which expires soon."""
        self._send(SWEEP_TASK, SWEEP_QUEUE, (), expires=SWEEP_EXPIRES)

    def publish_reposition(self, zone: str, expires: timedelta) -> None:
        """Publish a run of repositioning in the zone, which expires soon."""
        self._send(REPOSITION_TASK, SWEEP_QUEUE, (zone,), expires=expires)

    def _send(self, task: str, queue: str, args: tuple[str, ...], *, expires: timedelta) -> None:
        if self._breaker.is_open:
            PUBLISHED.labels("not_tried").inc()
            raise Unavailable("the broker failed a moment ago")
        try:
            with traces.span("publish", kind="producer"):
                self._app.send_task(
                    task,
                    args=args,
                    queue=queue,
                    headers=traces.carrier(),
                    # With `retry=False`, a failure takes longer (6.8 s measured), because kombu
                    # then connects with retries of its own.
                    retry_policy={"max_retries": 0},
                    expires=self._now() + expires,
                )
            PUBLISHED.labels("sent").inc()
        except (OperationalError, OSError) as error:
            PUBLISHED.labels("failed").inc()
            failure = failure_of(error.__cause__)
            if failure is Failure.LOST:
                self._breaker.trip()
            elif failure is Failure.DEFECT:
                logger.exception("the broker refused a command that is wrong")
            raise Unavailable(f"broker: {type(error.__cause__ or error).__name__}") from error


class RedisQueues(RedisStore):
    """`Queues`, read from the broker's keys, because asking the workers takes a second.

    Raises `Unavailable`.
    """

    def lengths(self) -> Sequence[QueueLength]:
        with self._link.pipe() as pipe:
            for name in QUEUES:
                pipe.llen(f"{KEY_PREFIX}{name}")
            pipe.hvals(UNACKED)
            *ready, taken = pipe.execute()
        unacked = Counter(map(_queue_of, taken))
        return [
            QueueLength(name, length, unacked[name])
            for name, length in zip(QUEUES, ready, strict=True)
        ]


def _queue_of(message: str) -> str:
    try:
        *_, routing_key = json.loads(message)
        return str(routing_key)
    except UNREADABLE:
        return ""
