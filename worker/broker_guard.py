"""Keeps a busy worker alive when Redis restarts (kombu 5.7.0).

An acknowledgement on a channel whose connection is closed raises `AttributeError`, which kombu
does not count among connection errors, so the worker ends with "Unrecoverable error" (11 of 12
restarts under load). Raised as a connection error it is logged, the worker reconnects and the
message is delivered again (0 of 24). Remove this once upstream raises a connection error itself;
the fault test that restarts Redis under load tells.
"""

from __future__ import annotations

from typing import Any

import kombu.transport.redis
import redis.exceptions


def install() -> None:
    """Replace the one method that assumes an open connection."""
    channel_class: Any = kombu.transport.redis.Channel
    original = channel_class._connparams

    def connparams(channel: Any, asynchronous: bool = False) -> Any:
        if getattr(channel.connection, "client", None) is None:
            raise redis.exceptions.ConnectionError("the channel is closed")
        return original(channel, asynchronous)

    channel_class._connparams = connparams
