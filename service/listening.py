"""A process that takes positions says so all the time, so that silence means something.

Whoever judges a unicorn's silence can then tell it from an outage of those who would have heard it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from service.core.ports import FleetIndex
from service.model.errors import Unavailable

logger = logging.getLogger(__name__)

TIMES: Final = 20
"""How often while a unicorn comes to count as silent: some may get lost."""


def start_listening(
    fleet: FleetIndex, stale: timedelta, now: Callable[[], datetime]
) -> Callable[[], None]:
    """Say so in the background until the process ends, or the returned function is called."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            try:
                fleet.listen(now())
            except Unavailable as error:
                logger.debug("nobody heard that we listen", extra={"cause": str(error)})
            except Exception:
                logger.exception("listening failed")
            ended.wait(stale.total_seconds() / TIMES)

    threading.Thread(target=run, name="listening", daemon=True).start()
    return ended.set
