"""Every key of the stores in Redis, in one place.

Keys that one script or command uses share a hash tag (`{…}`), and so a slot of a Redis Cluster: all
keys of a zone, and all keys of a unicorn. A key keeps its text when its function here gets a better
name, because two releases use it side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

OfZone = Callable[[str], str]
"""A function below that names a key of a zone."""

PREFIX: Final = "wildrydes"

EPOCH: Final = f"{PREFIX}:epoch"
HEARING: Final = f"{PREFIX}:{{listening}}"
"""Hash: start (`since`) and end (`last`) of the time in which every process heard unicorns."""
HEARING_PROCESSES: Final = f"{PREFIX}:{{listening}}:processes"
"""Sorted set: the processes that take calls of drivers, by the time of their last report."""
BUSY: Final = f"{PREFIX}:busy"
"""Set: the unicorns that have a ride."""
TAKEN_BACK: Final = f"{PREFIX}:taken_back"
"""Sorted set: rides that were taken back within the last minute, each with its unicorn, which did
not come."""
CHANGES: Final = f"{PREFIX}:changes"
"""Pub/sub channel on which topics that changed (rides, unicorns, revocations) are announced."""
WORKERS: Final = f"{PREFIX}:workers"

LEARNING: Final = f"{PREFIX}:learning"
"""Set of the zones where drives have ended, so that there is something to learn from."""

ZONES: Final = f"{PREFIX}:zones"
"""Set of the zones that have had a waiting ride or a unicorn."""


def fleet(zone: str) -> str:
    """Hash of unicorn id to its entry on the map, for unicorns seen in this zone."""
    return f"{PREFIX}:{{{zone}}}:fleet"


def statistics(minute: int) -> str:
    """Hash of what was counted in the minute that began then (seconds since 1970)."""
    return f"{PREFIX}:statistics:{minute}"


def legs(zone: str, kind: str) -> str:
    """List of the zone's latest completed drives of a kind, newest first."""
    return f"{PREFIX}:{{{zone}}}:legs:{kind}"


def quotes(zone: str, kind: str) -> str:
    """List: the times that riders of the zone were told for a kind of drive, and the real ones."""
    return f"{PREFIX}:{{{zone}}}:promises:{kind}"


REQUEST_ZONES: Final = f"{PREFIX}:asked"
"""Sorted set: the zones where riders asked for rides lately, by the time of the last request."""


def requests(zone: str, quarter: int) -> str:
    """Hash of one quarter of an hour: from a number that stands for a rider to the cell and the
    instant of that rider's first request."""
    return f"{PREFIX}:{{{zone}}}:asked:{quarter}"


def moves(zone: str) -> str:
    """The results of the zone's last run of repositioning, which the next run reads."""
    return f"{PREFIX}:{{{zone}}}:moves"


def advice(zone: str) -> str:
    """Hash of unicorn id to the place where the zone's last run told the unicorn to wait."""
    return f"{PREFIX}:{{{zone}}}:advice"


def sweep_lock(shard: str) -> str:
    """The lock of a shard of the sweep, or of the repositioning of a zone (`moves-ZONE`)."""
    return f"{PREFIX}:sweep:{shard}"


def patrolled(shard: str, patrol: str) -> str:
    """Exists until the next patrol of this kind through the shard's assigned rides is due."""
    return f"{PREFIX}:{{patrols:{shard}}}:{patrol}"


def waiting(zone: str) -> str:
    """Hash of ride id to ride, for the rides that wait for a unicorn."""
    return f"{PREFIX}:{{{zone}}}:waiting"


def mark(zone: str) -> str:
    """Exists while a round is asked for and has not begun; `leases` explains it and its values."""
    return f"{PREFIX}:{{{zone}}}:mark"


def triggered(zone: str) -> str:
    """The instant of the oldest trigger that no round has read, in milliseconds since 1970."""
    return f"{PREFIX}:{{{zone}}}:triggered"


def lease(zone: str) -> str:
    """The token of the job that holds the zone's lease."""
    return f"{PREFIX}:{{{zone}}}:lease"


def running(zone: str) -> str:
    """Set of the ids of the rides in the present round. If the process dies, the ids stay, and
    these rides are the suspects of the next round."""
    return f"{PREFIX}:{{{zone}}}:running"


def alone(zone: str) -> str:
    """Hash: for each suspect, how many rounds that tried it alone did not end."""
    return f"{PREFIX}:{{{zone}}}:alone"


def resume(zone: str) -> str:
    """The place in line of the first ride for which the last job had no time."""
    return f"{PREFIX}:{{{zone}}}:resume"


def plans(zone: str) -> str:
    """Hash of ride id to the pairing with a unicorn that should be free soon."""
    return f"{PREFIX}:{{{zone}}}:plans"


def usable(zone: str, bucket: int) -> str:
    """GEO set: the positions that available unicorns had in this time span."""
    return f"{PREFIX}:{{{zone}}}:usable:{bucket}"


def idle(zone: str, bucket: int) -> str:
    """Hash of unicorn id to the instant since which the unicorn waits (ms since 1970). It belongs
    to the set `usable` of the same time span."""
    return f"{PREFIX}:{{{zone}}}:idle:{bucket}"


def busy(zone: str, bucket: int) -> str:
    """GEO set: dropoffs of the busy unicorns of this time span."""
    return f"{PREFIX}:{{{zone}}}:busy:{bucket}"


def unicorn(unicorn_id: str) -> str:
    """Hash: the unicorn's last position and calls, and its state as last read from DynamoDB."""
    return f"{PREFIX}:{{unicorn:{unicorn_id}}}"


def former_channel(topic: str) -> str:
    """Pub/sub channel of one topic, on which the previous release announces changes."""
    return f"{PREFIX}:changed:{topic}"
