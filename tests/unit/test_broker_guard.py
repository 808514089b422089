"""What a worker sees when it acknowledges a job on a channel whose connection is closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kombu
import pytest
import redis.exceptions
from kombu.transport.redis import Channel

from worker import broker_guard


@pytest.fixture
def closed_channel() -> Iterator[Any]:
    channel = object.__new__(Channel)
    channel.connection = kombu.Connection("redis://127.0.0.1:1").transport
    channel.connection.client = None
    return channel


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Channel, "_connparams", Channel._connparams)
    broker_guard.install()


def test_with_the_guard_it_is_a_connection_error_which_workers_survive(
    closed_channel: Any, guard: None
) -> None:
    with pytest.raises(redis.exceptions.ConnectionError):
        closed_channel._connparams()


def test_without_the_guard_it_still_is_not(closed_channel: Any) -> None:
    """When this fails, upstream raises a connection error itself: remove the guard."""
    with pytest.raises(AttributeError):
        closed_channel._connparams()
