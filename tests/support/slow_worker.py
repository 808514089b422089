"""A worker whose jobs hold their lease for a while before they begin, so that tests meet them."""

from __future__ import annotations

import os
import time
from typing import Any, Final

from service.core.rounds import Dispatcher
from worker.app import app

SECONDS: Final = float(os.environ.get("SLOW_WORKER_SECONDS", "1"))

_rounds: Final = Dispatcher._rounds


def rounds(self: Dispatcher, lease: Any) -> bool:
    time.sleep(SECONDS)
    return _rounds(self, lease)


Dispatcher._rounds = rounds  # type: ignore[method-assign]

__all__ = ["app"]
