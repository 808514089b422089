"""What a worker sees when it acknowledges a job on a channel whose connection is closed."""

from __future__ import annotations

from typing import Any

import kombu
import kombu.transport.redis
import pytest
import redis.exceptions

from service.stores.broker import Channel


def closed(kind: type[Any]) -> Any:
    channel = object.__new__(kind)
    channel.connection = kombu.Connection("redis://127.0.0.1:1").transport
    channel.connection.client = None
    return channel


def test_a_closed_channel_is_a_connection_error_which_workers_survive() -> None:
    with pytest.raises(redis.exceptions.ConnectionError):
        closed(Channel)._connparams()


def test_in_kombu_a_closed_channel_still_is_no_connection_error() -> None:
    """When this fails, upstream raises a connection error itself: remove the override."""
    with pytest.raises(AttributeError):
        closed(kombu.transport.redis.Channel)._connparams()
