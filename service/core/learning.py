"""Lets each zone learn travel times from its own drives.

This module is separate from `legs`, so that the API does not load scipy: the API only records
drives.
"""

from __future__ import annotations

import logging
from datetime import datetime

from service.core.ports import LearnedCorrections, Legs
from service.matching.correction import Correction, Kind
from service.matching.learning import learn

logger = logging.getLogger(__name__)


def learn_from_legs(
    legs: Legs, learned: LearnedCorrections, prior: Correction, now: datetime
) -> int:
    """Fit every zone that has legs to learn from; returns how many corrections changed.

    Raises `Unavailable`.
    """
    return sum(
        _learn(legs, learned, prior, zone, kind, now) for zone in legs.zones() for kind in Kind
    )


def _learn(
    legs: Legs, learned: LearnedCorrections, prior: Correction, zone: str, kind: Kind, now: datetime
) -> bool:
    recent = legs.recent(zone, kind)
    previous = learned.of(zone, kind) or prior
    found = learn(recent, now.timestamp(), prior, previous)
    if found is None:
        return False
    learned.put(zone, kind, found)
    logger.info(
        "travel times learned",
        extra={"zone": zone, "kind": kind, "legs": len(recent), "spread": found.spread},
    )
    return True
