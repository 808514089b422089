"""Touches a file from the main loop of a worker or of beat, to show that the loop runs.

A container's health check reads the file's age (`docker/alive`). The file is touched without the
broker too: while Redis is down the processes wait for it, and restarting them would not help.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from celery import bootsteps
from celery.beat import Scheduler, SchedulingError
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer

from service.observability.instruments import BEAT_TICKED

logger = get_logger("celery.beat")
"""Celery's own logger, because `service.logs` writes each of its messages at most once a minute."""

TOUCH_SECONDS: Final = 2.0

Touch = Callable[[], None]

_file: Path | None = None


def keep(file: str) -> None:
    """Touch this file from now on; no file if the name is empty."""
    global _file
    _file = Path(file) if file else None


def touch() -> None:
    """Touch the file. If that fails, for example on a full disk, the process goes on, and the
    health check decides whether it is replaced."""
    if not _file:
        return
    try:
        _file.touch()
    except OSError as error:
        _tell(str(error))


@cache
def _tell(cause: str) -> None:
    """Log once that the file cannot be touched."""
    logger.error("the liveness file could not be touched", extra={"cause": cause})


class LoopStep(bootsteps.StartStopStep):
    """Touches the file from the worker's event loop."""

    requires = ("celery.worker.components:Timer",)

    def start(self, parent: Any) -> None:
        touch()
        parent.timer.call_repeatedly(TOUCH_SECONDS, touch)


EVERY_SECOND: Final = {"interval_start": 1, "interval_step": 0, "interval_max": 1}
"""Try to connect every second. kombu's own pauses grow to 30 s, so a worker could stay idle for
that long after Redis is back."""


def _while_waiting(connection: Any, live: Touch = touch) -> Any:
    """The connection; it calls `live` every second while it waits for its broker."""
    live()
    ensure = connection.ensure_connection

    def ensure_connection(*args: Any, callback: Touch | None = None, **options: Any) -> Any:
        def still_waiting() -> None:
            live()
            if callback:
                callback()

        return ensure(*args, callback=still_waiting, **options, **EVERY_SECOND)

    connection.ensure_connection = ensure_connection
    return connection


class PatientConsumer(Consumer):
    """A consumer that shows that it is alive while its loop waits for the broker."""

    def ensure_connected(self, conn: Any) -> Any:
        return super().ensure_connected(_while_waiting(conn))


class PatientScheduler(Scheduler):
    """Beat's scheduler with its schedule in memory, so that a restart finds no broken file."""

    is_ending = False

    def tick(self, *args: Any, **options: Any) -> float:
        self._live()
        BEAT_TICKED.set(time.time())
        return float(super().tick(*args, **options))

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """As Celery's, but a failure is logged as one line with its cause, without a traceback."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            logger.error("job not published: %s", error.__context__ or error)

    def _live(self) -> None:
        if self.is_ending:
            raise SystemExit
        touch()

    @cached_property
    def connection(self) -> Any:
        return _while_waiting(self.app.connection_for_write(), self._live)


def end_between_ticks(service: Any) -> None:
    """Let SIGTERM end beat between two ticks.

    Celery's own handler raises an exception wherever beat is. Inside a read from Redis another
    exception can replace it (redis-py 8.1.0), and beat would go on until it is killed.
    """

    def end(*_: object) -> None:
        service.scheduler.is_ending = True

    signal.signal(signal.SIGTERM, end)
