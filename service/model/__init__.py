"""Rides and unicorns: immutable values with their legal transitions.

A transition is a method that returns the next value, or raises `IllegalTransition`. Nothing here
knows a clock or a store: the instant is an argument, and a store writes (before, after) only if
the stored version still is that of *before*.

Instants are timezone-aware UTC. Distances are metres, durations seconds, positions WGS-84 degrees.
"""

from service.model.page import Page, items_of
from service.model.places import Location, Position
from service.model.presence import (
    Hearing,
    PositionProblem,
    Presence,
    SilentTogether,
)
from service.model.ride import (
    ASSIGNED,
    BEFORE_PROGRESS,
    ERASED,
    FIRST_RETRY,
    FRESH_DEADLINES,
    LIVENESS_CHECK,
    TERMINAL,
    CanceledBy,
    Pairing,
    Rating,
    Ride,
    RideStatus,
)
from service.model.unicorn import (
    AssignedUnicorn,
    FleetEntry,
    Trip,
    Unicorn,
    UnicornState,
)

__all__ = [
    "ASSIGNED",
    "BEFORE_PROGRESS",
    "ERASED",
    "FIRST_RETRY",
    "FRESH_DEADLINES",
    "LIVENESS_CHECK",
    "TERMINAL",
    "AssignedUnicorn",
    "CanceledBy",
    "FleetEntry",
    "Hearing",
    "Location",
    "Page",
    "Pairing",
    "Position",
    "PositionProblem",
    "Presence",
    "Rating",
    "Ride",
    "RideStatus",
    "SilentTogether",
    "Trip",
    "Unicorn",
    "UnicornState",
    "items_of",
]
