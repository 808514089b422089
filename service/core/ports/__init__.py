"""The ports of the use cases, as protocols. The tests have a fake of each.

Every method may raise `Unavailable`. The stores in DynamoDB (`Rides`, `Unicorns`, `Assignments`)
hold the truth and decide by conditional writes. The stores in Redis (`FleetIndex`, `WaitingRides`,
`Changes`) may lose everything at any time.
"""

from service.core.ports.fleet import FleetIndex, Nearby, Sighting
from service.core.ports.groups import Hints, Ports, Rules, Stores
from service.core.ports.learning import (
    LastRun,
    LearnedCorrections,
    Legs,
    Matches,
    MoveMemory,
    Outlook,
    RecentRequest,
)
from service.core.ports.oversight import AuditLog, Queues, RideHistory, Roster, Workers
from service.core.ports.rounds import (
    Changes,
    LeaseLost,
    Listener,
    PlaceInLine,
    RoundLease,
    RoundLeases,
    RoundQueue,
    WaitingRides,
    WaitingZone,
)
from service.core.ports.tables import (
    MOST_LISTED,
    Assignments,
    DeadLetters,
    DispatchControl,
    Rides,
    Unicorns,
    WriteConflict,
)

__all__ = [
    "MOST_LISTED",
    "Assignments",
    "AuditLog",
    "Changes",
    "DeadLetters",
    "DispatchControl",
    "FleetIndex",
    "Hints",
    "LastRun",
    "LearnedCorrections",
    "LeaseLost",
    "Legs",
    "Listener",
    "Matches",
    "MoveMemory",
    "Nearby",
    "Outlook",
    "PlaceInLine",
    "Ports",
    "Queues",
    "RecentRequest",
    "RideHistory",
    "Rides",
    "Roster",
    "RoundLease",
    "RoundLeases",
    "RoundQueue",
    "Rules",
    "Sighting",
    "Stores",
    "Unicorns",
    "WaitingRides",
    "WaitingZone",
    "Workers",
    "WriteConflict",
]
