"""Lists the advice to idle unicorns, for staff.

This module is separate from `moves`, so that the API does not load scipy, which only computing the
advice needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from service.core.outlook import MoveMemory
from service.core.ports import FleetIndex
from service.model import Advice


def valid_advice(moves: MoveMemory, fleet: FleetIndex, now: datetime) -> Sequence[Advice]:
    """The valid advice to idle unicorns, sorted by id. Three calls to Redis.

    Raises `Unavailable`.
    """
    advice = moves.advised(moves.zones(now), now)
    entries = fleet.entries([each.unicorn_id for each in advice], now)
    idle = {name for name, entry in entries.items() if entry.unicorn.can_take_a_ride}
    return [each for each in advice if each.unicorn_id in idle]
