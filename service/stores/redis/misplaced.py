"""Deletes keys that have a wrong type, because a person or another release wrote them.

Every command on such a key fails until the key is removed, and so does the whole call or script
that contains the command, often for many unicorns or rides. The service works without any key in
Redis, and rebuilds those that it needs, so this module deletes the key. A release that stores
something in another type must also give its key another name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from service.stores.redis import keys

logger = logging.getLogger(__name__)

Name = str | Callable[..., str]
"""A key, or a function that returns the key of a zone, a unicorn, …"""

TYPES: Final[Mapping[str, tuple[Name, ...]]] = {
    "string": (
        *(keys.EPOCH, keys.moves, keys.sweep_lock, keys.patrolled),
        *(keys.mark, keys.triggered, keys.lease, keys.resume),
    ),
    "hash": (
        *(keys.HEARING, keys.WORKERS, keys.fleet, keys.statistics, keys.requests, keys.advice),
        *(keys.waiting, keys.alone, keys.plans, keys.idle, keys.unicorn),
    ),
    "set": (keys.BUSY, keys.LEARNING, keys.ZONES, keys.running),
    "zset": (keys.HEARING_PROCESSES, keys.TAKEN_BACK, keys.REQUEST_ZONES, keys.usable, keys.busy),
    "list": (keys.legs, keys.quotes),
}
"""Our keys, by the name that Redis gives to their type."""

_ANY: Final = "ANY"


def _pattern(name: Name) -> str:
    key = name if isinstance(name, str) else name(*[_ANY] * name.__code__.co_argcount)
    return re.escape(key).replace(_ANY, "[^:]*")


_PATTERNS: Final = {
    type_name: re.compile("|".join(map(_pattern, names))) for type_name, names in TYPES.items()
}


def type_of(key: str) -> str | None:
    """The type that a key must have; None for a key that is not ours."""
    return next((name for name, pattern in _PATTERNS.items() if pattern.fullmatch(key)), None)


def delete_misplaced(client: Any) -> None:
    """Delete our keys that have a wrong type. Reads all keys, and then the types of ours."""
    ours = [key for key in client.scan_iter(match=f"{keys.PREFIX}:*", count=1000) if type_of(key)]
    with client.pipeline(transaction=False) as pipe:
        for key in ours:
            pipe.type(key)
        types = pipe.execute()
    for key, found in zip(ours, types, strict=True):
        if found not in {type_of(key), "none"}:
            logger.error("key of a wrong type deleted", extra={"key": key, "type": found})
            client.delete(key)
