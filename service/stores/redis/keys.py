"""Every key in Redis, in one place.

What is used together in one call shares a hash tag (`{…}`) and so lives in one slot of a Redis
Cluster: everything of a zone, everything of a unicorn.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "wildrydes"

EPOCH: Final = f"{PREFIX}:epoch"
LISTENING: Final = f"{PREFIX}:listening"
"""Hash: since when, and when last, a process said that it hears unicorns."""
SWEEP_LEASE: Final = f"{PREFIX}:sweep:lease"
CHANGES: Final = f"{PREFIX}:changes"
"""Pub/sub channel on which topics that changed (rides, unicorns, revocations) are announced."""
WORKERS: Final = f"{PREFIX}:workers"


def waiting(zone: str) -> str:
    """Hash of ride id to ride: those that wait for a unicorn."""
    return f"{PREFIX}:{{{zone}}}:waiting"


def mark(zone: str) -> str:
    """There while a job for the zone is published and has not started."""
    return f"{PREFIX}:{{{zone}}}:mark"


def triggered(zone: str) -> str:
    """When the oldest trigger came that no round has read yet, in milliseconds since 1970."""
    return f"{PREFIX}:{{{zone}}}:triggered"


def again(zone: str) -> str:
    """There when the lease holder was asked for one more round."""
    return f"{PREFIX}:{{{zone}}}:again"


def lease(zone: str) -> str:
    """Token of the job whose turn it is."""
    return f"{PREFIX}:{{{zone}}}:lease"


def running(zone: str) -> str:
    """Set of ride ids in a round; what a round leaves here, it crashed on."""
    return f"{PREFIX}:{{{zone}}}:running"


def plans(zone: str) -> str:
    """Hash of ride id to the pairing with a unicorn that should be free soon."""
    return f"{PREFIX}:{{{zone}}}:plans"


def usable(zone: str, bucket: int) -> str:
    """GEO set: where available unicorns were heard of in this span of time."""
    return f"{PREFIX}:{{{zone}}}:usable:{bucket}"


def busy(zone: str, bucket: int) -> str:
    """GEO set: where busy unicorns of this span of time will drop off their rider."""
    return f"{PREFIX}:{{{zone}}}:busy:{bucket}"


def unicorn(unicorn_id: str) -> str:
    """Hash: where the unicorn last was, when it was heard of, and it as last seen in DynamoDB."""
    return f"{PREFIX}:{{unicorn:{unicorn_id}}}"


def former_channel(topic: str) -> str:
    """Pub/sub channel of one topic, as the release before this one announces changes."""
    return f"{PREFIX}:changed:{topic}"
