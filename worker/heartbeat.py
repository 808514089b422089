"""A worker's heartbeat: every two seconds, from the main loop, so that a hung worker sends none."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from billiard.exceptions import WorkerLostError
from celery.signals import heartbeat_sent, worker_ready, worker_shutdown
from celery.worker import state
from celery.worker.request import Request

from service.clock import REDIS, Clock
from service.model.errors import Unavailable
from service.model.operations import Heartbeat, worker_id
from service.observability.instruments import JOBS
from service.settings import Settings
from service.stores.clocks import redis_clock
from service.stores.redis.link import RedisLink, connect
from service.stores.redis.workers import RedisWorkers

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 0.5
"""Time limit of a heartbeat's Redis call, which runs in the main loop and must not block it."""


def main_clock(settings: Settings) -> Clock:
    """The service's time in a main process, by Redis and host only; connects on first reading."""
    link = RedisLink(
        connect(settings.redis_url, timeout_seconds=TIMEOUT_SECONDS, name="wildrydes-clock")
    )
    return Clock({REDIS: redis_clock(link)})


class CountedRequest(Request):
    """A job in the main process. Counts jobs that end with their pool process.

    A job that is killed, or ended by the hard time limit, ends its pool process too, so only the
    main process can count it. Jobs expire by `now`, the clock of Redis, and not by the host's clock
    as in Celery.
    """

    failures: ClassVar[int] = 0
    now: ClassVar[Callable[[], datetime]]

    def maybe_expire(self) -> Literal[True] | None:
        if self.expires is None or CountedRequest.now() <= self.expires:
            return None
        state.revoked.add(self.id)
        return True

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        CountedRequest.failures += 1
        if issubclass(exc_info.type, WorkerLostError):
            JOBS.labels(self.name, "LOST").inc()
        return super().on_failure(exc_info, *args, **options)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        if not soft:
            JOBS.labels(self.name, "TIMEOUT").inc()
        super().on_timeout(soft, timeout)


class HeartbeatSender:
    """Writes heartbeats of this worker's main process to Redis. Connects at the first one."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = now
        self._started_at = now()
        self._pool: Any = None
        link = RedisLink(
            connect(settings.redis_url, timeout_seconds=TIMEOUT_SECONDS, name="wildrydes-worker")
        )
        self._workers = RedisWorkers(link)

    def install(self) -> None:
        """Connect to the worker's signals; `weak=False`, because Celery keeps weak references."""
        worker_ready.connect(self._begin, weak=False)
        heartbeat_sent.connect(self._send, weak=False)
        worker_shutdown.connect(self._end, weak=False)

    def _begin(self, sender: Any, **_: Any) -> None:
        self._pool = sender.pool

    def _send(self, **_: Any) -> None:
        try:
            self._workers.note(self._current())
        except Unavailable as error:
            logger.info("heartbeat not stored", extra={"cause": str(error)})

    def _end(self, **_: Any) -> None:
        # Celery sends the signal once more when its connection is closed.
        heartbeat_sent.disconnect(self._send)
        with suppress(Unavailable):
            self._workers.leave(worker_id(socket.gethostname(), os.getpid()))

    def _current(self) -> Heartbeat:
        active, failed = len(state.active_requests), CountedRequest.failures
        children = self._pool.info.get("processes", ()) if self._pool else ()
        return Heartbeat(
            host=socket.gethostname(),
            pid=os.getpid(),
            version=self._settings.service_version,
            revision=self._settings.service_revision,
            started_at=self._started_at,
            beat_at=self._clock(),
            active=active,
            done=max(0, state.all_total_count[0] - active - failed),
            failed=failed,
            memory_bytes=_resident_bytes([os.getpid(), *children]),
        )


def _resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of these processes in bytes; shared pages count for each; 0 if unknown."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
