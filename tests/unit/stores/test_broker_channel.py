"""Connections to Redis: of a closed channel, of a producer, and of the stores."""

from __future__ import annotations

from typing import Any

import kombu
import kombu.transport.redis
import pytest
import redis.exceptions

from service.stores.broker import CeleryRoundQueue, Channel
from service.stores.redis.link import connect


def closed(kind: type[Any]) -> Any:
    channel = object.__new__(kind)
    channel.connection = kombu.Connection("redis://127.0.0.1:1").transport
    channel.connection.client = None
    return channel


def test_a_closed_channel_is_a_connection_error_which_workers_survive() -> None:
    with pytest.raises(redis.exceptions.ConnectionError):
        closed(Channel)._connparams()


def test_a_producer_is_nobodys_default_application() -> None:
    """A worker's process has an application of its own."""
    queue = CeleryRoundQueue("redis://127.0.0.1:1", timeout_seconds=1)
    assert not queue._app.set_as_current


def test_a_connection_to_redis_that_is_half_open_is_found_before_a_command_needs_it() -> None:
    options = connect("redis://127.0.0.1:1", timeout_seconds=0.5).connection_pool.connection_kwargs
    assert options["socket_keepalive"]
    assert options["health_check_interval"] == 5
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 0.5


def test_in_kombu_a_closed_channel_still_is_no_connection_error() -> None:
    """When this fails, upstream raises a connection error itself: remove the override."""
    with pytest.raises(AttributeError):
        closed(kombu.transport.redis.Channel)._connparams()
