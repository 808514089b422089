"""Rides and unicorns: immutable values with their legal transitions.

A transition is a method that returns the next value, or raises `IllegalTransition`. Nothing here
knows a clock or a store: the instant is an argument, and a store writes the pair (before, after)
only if the stored version is still that of *before*.

Instants are timezone-aware UTC. Distances are metres, durations seconds, positions WGS-84 degrees.
"""

from service.model.operations import RepositioningLevel
from service.model.page import Page, items_of
from service.model.places import WORLD, Box, Location, Position
from service.model.presence import Hearing, PositionProblem, Presence, SilentTogether
from service.model.ride import (
    ERASED,
    FIRST_RETRY,
    FRESH_DEADLINES,
    LEFT_TO_PATROLS,
    LIVENESS_CHECK,
    Rating,
    Ride,
)
from service.model.status import (
    ASSIGNED,
    BEFORE_PROGRESS,
    MOST_STEPS,
    SHOWS_UNICORN,
    STATUS_AFTER,
    TERMINAL,
    CanceledBy,
    Happened,
    RideStatus,
    RideStep,
    steps_of,
)
from service.model.unicorn import (
    Advice,
    AdviceReason,
    AssignedUnicorn,
    FleetEntry,
    Pairing,
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
    "LEFT_TO_PATROLS",
    "LIVENESS_CHECK",
    "MOST_STEPS",
    "SHOWS_UNICORN",
    "STATUS_AFTER",
    "TERMINAL",
    "WORLD",
    "Advice",
    "AdviceReason",
    "AssignedUnicorn",
    "Box",
    "CanceledBy",
    "FleetEntry",
    "Happened",
    "Hearing",
    "Location",
    "Page",
    "Pairing",
    "Position",
    "PositionProblem",
    "Presence",
    "Rating",
    "RepositioningLevel",
    "Ride",
    "RideStatus",
    "RideStep",
    "SilentTogether",
    "Trip",
    "Unicorn",
    "UnicornState",
    "items_of",
    "steps_of",
]
