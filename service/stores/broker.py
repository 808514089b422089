"""The producer: publishes dispatch rounds by task name, so that the API never imports a worker.

Only ids travel. A message that cannot be sent is no loss: the ride is in DynamoDB and the sweep
finds it, so a publish fails fast and is not repeated.
"""

from __future__ import annotations

import time
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError

from service.model.errors import Unavailable
from service.observability import traces
from service.observability.instruments import PUBLISHED
from service.queues import DISPATCH_QUEUE, KEY_PREFIX, ROUND_TASK

BREAK_SECONDS: Final = 1.0


def broker_options(*, timeout_seconds: float) -> dict[str, Any]:
    """Transport options that API and worker share."""
    return {
        "global_keyprefix": KEY_PREFIX,
        # Without these a Redis that accepts and never answers blocks a publish for ever.
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 5,
    }


class CeleryRoundQueue:
    """`RoundQueue` on a Celery broker. Raises `Unavailable`; a breaker spares the time-outs."""

    def __init__(self, broker_url: str, *, timeout_seconds: float) -> None:
        self._app = Celery("producer", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            broker_transport_options=broker_options(timeout_seconds=timeout_seconds),
            # No result backend: results live in DynamoDB, and a backend costs 86 % more CPU.
            task_ignore_result=True,
        )
        self._broken_until = 0.0

    def publish(self, zone: str, request_id: str) -> None:
        if time.monotonic() < self._broken_until:
            PUBLISHED.labels("not_tried").inc()
            raise Unavailable("the broker failed a moment ago")
        try:
            with traces.span("publish", kind="producer"):
                self._send(zone, request_id)
            PUBLISHED.labels("sent").inc()
        except (OperationalError, OSError) as error:
            PUBLISHED.labels("failed").inc()
            self._broken_until = time.monotonic() + BREAK_SECONDS
            raise Unavailable(f"broker: {type(error).__name__}") from error

    def _send(self, zone: str, request_id: str) -> None:
        self._app.send_task(
            ROUND_TASK,
            args=(zone, request_id),
            queue=DISPATCH_QUEUE,
            headers=traces.carrier(),
            # retry=False is slower to fail (6.8 s measured): it takes connect's own retries.
            retry_policy={"max_retries": 0},
            # A round nobody could run within half a minute has been triggered again since.
            expires=30,
        )
