"""Reports, from each process that takes calls of unicorns, whether it hears them.

With these reports the sweep can tell a silent unicorn from an outage of the service. A refused call
does not make its unicorn silent: if the caller is known, its unicorn counts as heard; if not, the
process reports that it was deaf, and until then no unicorn counts as silent.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from service.core import unicorns
from service.core.ports import Ports
from service.model.errors import Unavailable, UnicornNotFound
from service.observability.instruments import FLEET_CALLS_REFUSED

logger = logging.getLogger(__name__)

TIMES: Final = 20
"""Reports within the time after which a position is stale; several, because some may get lost."""

MOST_REFUSED: Final = 1000
"""Refused callers looked up between two reports; with more, the process reports that it is deaf."""


class HearingReports:
    """The reports of one process. `begin` starts them; any thread may call `refused`."""

    def __init__(self, ports: Ports, now: Callable[[], datetime]) -> None:
        self._ports = ports
        self._now = now
        self._process = secrets.token_hex()
        self._refused: set[str | None] = set()
        self._ended = threading.Event()

    def refused(self, subject: str | None) -> None:
        """Note that a call of a unicorn was refused. `subject`: its account; None if unknown."""
        FLEET_CALLS_REFUSED.inc()
        self._refused.add(subject if len(self._refused) < MOST_REFUSED else None)

    def begin(self) -> None:
        """Report in the background until the process ends or `end` is called."""
        threading.Thread(target=self._run, name="hearing", daemon=True).start()

    def end(self) -> None:
        """Withdraw this process, so that the others need not wait for its reports."""
        self._ended.set()
        try:
            self._ports.fleet.withdraw_hearing(self._process)
        except Unavailable as error:
            logger.info("hearing not withdrawn", extra={"cause": str(error)})

    def _run(self) -> None:
        period = self._ports.rules.stale_after.total_seconds() / TIMES
        while not self._ended.wait(period):
            self.report()

    def report(self) -> None:
        """Report once whether every call since the last report was heard."""
        refused, self._refused = self._refused, set()
        try:
            unknown = [subject for subject in refused if not self._is_heard(subject)]
            self._ports.fleet.report_hearing(self._process, self._now(), is_deaf=bool(unknown))
        except Unavailable as error:
            # Without Redis no call is heard. Report that as soon as Redis is back.
            self._refused.add(None)
            logger.debug("hearing not reported", extra={"cause": str(error)})
        except Exception:
            self._refused.add(None)
            logger.exception("hearing not reported: unexpected error")

    def _is_heard(self, subject: str | None) -> bool:
        """Note a refused caller's unicorn as heard; False if the unicorn is unknown."""
        if subject is None:
            return False
        try:
            unicorn_id = unicorns.unicorn_id_of(self._ports, subject)
        except UnicornNotFound:
            return True
        except Unavailable:
            return False
        self._ports.fleet.hear(unicorn_id, self._now(), refused=True)
        return True
