"""Keeps a worker's main loop running, whatever the broker delivers and however it behaves.

A message that a worker cannot read is counted and dropped; the sweep repeats its work. Celery's own
handlers would log its content, which may be personal. A message with parts missing, or an entry
that is no message, would end one worker after the other (kombu 5.7.0, celery 5.7.0: the exception
leaves the main loop).

Events for the monitor are sent at most once. Celery's own dispatcher connects and sends again
inside the main loop until it succeeds, so with a broker that does not answer the loop would block.
"""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Callable
from typing import Any, Final

import kombu.transport.redis
from celery.app import events
from celery.events.dispatcher import EventDispatcher
from kombu.utils.json import loads

from service.observability.instruments import UNREADABLE_ENTRIES
from worker.liveness import PatientConsumer

logger = logging.getLogger(__name__)

SENSELESS: Final = (AttributeError, KeyError, TypeError, ValueError)
"""The exceptions from reading a message that is not as Celery writes it."""


class OneAttempt(EventDispatcher):
    """Sends each event once; an event that cannot be sent is dropped.

    If no monitor can ask for events, it sends none; Celery would send the heartbeats nevertheless.
    """

    def _publish(self, *args: Any, **options: Any) -> None:
        if self.app and not self.app.conf.worker_enable_remote_control:
            return
        super()._publish(*args, **options | {"retry": False})  # type: ignore[misc] # stubs lack it
        # Celery keeps failed events without a limit and would send them when they are out of date.
        self._outbound_buffer.clear()  # type: ignore[attr-defined]


class Events(events.Events):
    """Celery's `app.events` with `OneAttempt` as its dispatcher."""

    dispatcher_cls = f"{__name__}:{OneAttempt.__name__}"


class DroppingConsumer(PatientConsumer):
    """Celery's consumer, but it drops unreadable messages and does not log their content."""

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*args, **options)

        def on_message(message: Any) -> None:
            try:
                handle(message)
            except SENSELESS as error:
                drop(message, f"a message with parts missing: {type(error).__name__}")

        return on_message

    def on_unknown_message(self, body: Any, message: Any) -> None:
        drop(message, "not a job")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        # A warning, not an error: during a deployment the new release may publish tasks that this
        # worker does not know, and errors of workers stop a deployment.
        drop(message, "a job of an unknown task", logging.WARNING)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        drop(message, f"an invalid job: {type(exc).__name__}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        drop(message, f"an undecodable job: {type(exc).__name__}")


def drop(message: Any, cause: str, level: int = logging.ERROR) -> None:
    """Reject a message that this worker cannot use, so that it is not delivered again; count it
    and log the cause.
    """
    if not message.acknowledged:
        message.reject_log_error(logger, message.channel.connection_errors)
    UNREADABLE_ENTRIES.labels("message").inc()
    logger.log(level, "message dropped", extra={"cause": cause})


def install() -> None:
    """Let kombu read any entry: one that is no message becomes a message that is not a job."""
    transport: Any = kombu.transport.redis
    transport.loads = readable


def readable(text: str) -> Any:
    """An entry that kombu keeps in Redis; any other text becomes the body of a message."""
    try:
        value = loads(text)
        if _is_restorable(value) or _is_message(value):
            return value
    except SENSELESS:
        pass
    return {
        "body": text,
        "headers": {},
        "properties": {
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": ""},
        },
    }


def _is_restorable(value: Any) -> bool:
    """Whether the value is a message that a worker took, with its exchange and routing key."""
    return isinstance(value, list) and len(value) == 3 and _is_message(value[0])


def _is_message(value: Any) -> bool:
    properties = value["properties"]
    delivery = properties["delivery_info"]
    named = (properties["delivery_tag"], delivery["exchange"], delivery["routing_key"])
    if properties.get("body_encoding"):
        base64.b64decode(value["body"])
    return all(isinstance(name, str) for name in named)
