"""When the oldest trigger came that no round has read yet: kept beside the mark, outliving it.

Whoever triggers writes it unless it is there; the round that reads the rides takes it. So it tells
how long triggers wait, whichever job, mark or message was lost in between.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from service.model import Ride

NOTED_MS: Final = 600_000
"""So late a trigger is noticed at all."""
UNSEEN_AFTER: Final = timedelta(seconds=1)
"""A ride that comes again after this was brought by the sweep, not by its request."""


def now_ms() -> int:
    return int(time.time() * 1000)


def is_unseen(ride: Ride, unread_since: int, now: int) -> bool:
    """Whether a ride that comes again has waited since its request without any round."""
    asked = int((ride.requested_at + UNSEEN_AFTER).timestamp() * 1000)
    return unread_since < asked < now
