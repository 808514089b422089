"""The instant of the oldest trigger of a zone that no round has read; it outlasts the mark.

A trigger writes it unless it exists, and the round that reads the rides deletes it. So it shows how
long triggers wait, even if a job, a mark or a message was lost meanwhile.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from service.model import Ride

NOTED_MS: Final = 600_000
"""How long the instant is kept."""
UNSEEN_AFTER: Final = timedelta(seconds=1)
"""A second trigger of a ride after this time can only come from the sweep."""


def now_ms() -> int:
    return int(time.time() * 1000)


def is_unseen(ride: Ride, unread_since: int, now: int) -> bool:
    """Whether no round has read the ride since its request, although it is triggered again now."""
    overdue_at = int((ride.requested_at + UNSEEN_AFTER).timestamp() * 1000)
    return unread_since < overdue_at < now
