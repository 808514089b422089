"""A process that takes calls of unicorns says all the time whether it hears them.

Whoever judges a unicorn's silence can then tell it from an outage of those who would have heard it.
A call that had to be refused is not lost for that: if it is known who made it, its unicorn was
heard; if not, the process says that it was deaf, and nobody's silence counts until then.
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
"""How often while a unicorn comes to count as silent: some may get lost."""

MOST_REFUSED: Final = 1000
"""So many callers refused between two beats are looked up; more are deafness."""


class Listening:
    """What one process says; `begin` starts it, `refused` may be called by any thread."""

    def __init__(self, ports: Ports, now: Callable[[], datetime]) -> None:
        self._ports = ports
        self._now = now
        self._process = secrets.token_hex(8)
        self._refused: set[str | None] = set()
        self._ended = threading.Event()

    def refused(self, subject: str | None) -> None:
        """A call of a unicorn was not accepted; `subject`: its account, if that is known."""
        FLEET_CALLS_REFUSED.inc()
        self._refused.add(subject if len(self._refused) < MOST_REFUSED else None)

    def begin(self) -> None:
        """Say it in the background until the process ends, or `end` is called."""
        threading.Thread(target=self._run, name="listening", daemon=True).start()

    def end(self) -> None:
        """Say goodbye: the others need not wait for this process."""
        self._ended.set()
        try:
            self._ports.fleet.stop_listening(self._process)
        except Unavailable as error:
            logger.info("goodbye not heard", extra={"cause": str(error)})

    def _run(self) -> None:
        period = self._ports.rules.stale.total_seconds() / TIMES
        while not self._ended.wait(period):
            self.beat()

    def beat(self) -> None:
        """Say once whether every call since the last beat was heard."""
        refused, self._refused = self._refused, set()
        try:
            unknown = [subject for subject in refused if not self._is_heard(subject)]
            self._ports.fleet.listen(self._process, self._now(), is_deaf=bool(unknown))
        except Unavailable as error:
            # No call is heard while Redis is away; that is said as soon as it is back.
            self._refused.add(None)
            logger.debug("nobody heard that we listen", extra={"cause": str(error)})
        except Exception:
            self._refused.add(None)
            logger.exception("listening failed")

    def _is_heard(self, subject: str | None) -> bool:
        """Note a refused caller's unicorn as heard; false if it is not known whose call it was."""
        if subject is None:
            return False
        try:
            unicorn_id = unicorns.unicorn_of(self._ports, subject)
        except UnicornNotFound:
            return True
        except Unavailable:
            return False
        self._ports.fleet.hear(unicorn_id, self._now(), refused=True)
        return True
