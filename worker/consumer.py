"""Messages that no worker can make sense of become dead letters, and the queue moves on.

Celery logs and drops unknown, invalid and undecodable messages. What is no message at all, or one
with parts missing, would end the worker (kombu 5.7.0, celery 5.7.0: the exception leaves the main
loop), and with it each worker in turn.
"""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import kombu.transport.redis
from kombu.utils.json import loads

from service.core.dead_letters import message_letter
from service.model.errors import DispatchError
from service.settings import Settings, load
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.dead_letters import DynamoDeadLetters
from worker.liveness import PatientConsumer

logger = logging.getLogger(__name__)

SENSELESS: Final = (AttributeError, KeyError, TypeError, ValueError)
"""What reading a message raises that is not as Celery writes it."""


class SettingAside(PatientConsumer):
    """Celery's consumer, which keeps what it cannot use."""

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*args, **options)

        def on_message(message: Any) -> None:
            try:
                handle(message)
            except SENSELESS as error:
                if not message.acknowledged:
                    message.reject_log_error(logger, message.channel.connection_errors)
                set_aside(message, f"a message with parts missing: {type(error).__name__}")

        return on_message

    def on_unknown_message(self, body: Any, message: Any) -> None:
        super().on_unknown_message(body, message)
        set_aside(message, "not a job")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        super().on_unknown_task(body, message, exc)
        set_aside(message, f"a job of an unknown task: {message.headers['task']}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        super().on_invalid_task(body, message, exc)
        set_aside(message, f"an invalid job: {type(exc).__name__}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        super().on_decode_error(message, exc)
        set_aside(message, f"an undecodable job: {type(exc).__name__}")


def set_aside(message: Any, cause: str) -> None:
    """Keep the message as a dead letter, if that is possible; its job the sweep does anyway."""
    letter = message_letter(_text(message.body), cause[:200], datetime.now(UTC))
    settings = load(Settings)
    try:
        # Made for the rare occasion: the main process has no other business with DynamoDB.
        DynamoDeadLetters(dynamodb_client(settings), settings.operations_table).put(letter)
    except DispatchError as error:
        logger.warning("message lost", extra={"cause": str(error)})
    logger.error("message set aside", extra={"dead_letter_id": letter.dead_letter_id})


def install() -> None:
    """Let kombu read anything: what is no message is read as one that is not a job."""
    transport: Any = kombu.transport.redis
    transport.loads = readable


def readable(text: str) -> Any:
    """What kombu keeps in Redis, read; what is none of it, as a message with that as its body."""
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
    """A message that a worker took, with its exchange and routing key."""
    return isinstance(value, list) and len(value) == 3 and _is_message(value[0])


def _is_message(value: Any) -> bool:
    properties = value["properties"]
    delivery = properties["delivery_info"]
    named = (properties["delivery_tag"], delivery["exchange"], delivery["routing_key"])
    if properties.get("body_encoding"):
        base64.b64decode(value["body"])
    return all(isinstance(name, str) for name in named)


def _text(body: object) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body)
