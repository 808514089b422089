"""Calls of a replay's clients: connections that stay open, and each call at its time."""

from __future__ import annotations

import json
import sched
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any, Final

import urllib3

RETRIES: Final = urllib3.Retry(
    # Gunicorn closes idle connections, and every request here may be repeated.
    None,
    connect=1,
    read=1,
    # While the service is busy, the call is repeated after the pause that its answer names.
    status=None,
    status_forcelist={503},
    allowed_methods=None,
)


class Caller:
    """The client of many threads. `statuses`: how often each status was answered."""

    def __init__(self, port: int, connections: int) -> None:
        self._pool = urllib3.HTTPConnectionPool(
            "127.0.0.1", port, maxsize=connections, timeout=60, retries=RETRIES
        )
        self.statuses: Counter[int] = Counter()

    def __call__(
        self, method: str, path: str, token: str, body: object = None, **headers: str
    ) -> Any:
        """The parsed answer; None if it has no body. Raises `HTTPException` if the request is
        refused.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        answer = self._pool.request(method, path, body=data, headers=sent)
        if answer.retries:
            self.statuses.update(each.status for each in answer.retries.history if each.status)
        self.statuses[answer.status] += 1
        if answer.status >= 400:
            raise HTTPException(f"{method} {path}: {answer.status} {answer.data[:200]!r}")
        return answer.json() if answer.data else None


class Timetable:
    """Calls functions at their time, each in a thread of a pool."""

    def __init__(self) -> None:
        self._scheduler = sched.scheduler(time.monotonic)
        self._changed = threading.Event()
        self._ended = False
        self.latest = 0.0
        """The greatest delay, in seconds, with which this client started a call."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def at(self, when: float, pool: ThreadPoolExecutor, happen: Callable[[], object]) -> None:
        """Call a function at `when`, on the monotonic clock."""
        self._scheduler.enterabs(when, 0, self._start, (when, pool, happen))
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended:
            self._changed.wait(self._scheduler.run(blocking=False))
            self._changed.clear()

    def _start(self, when: float, pool: ThreadPoolExecutor, happen: Callable[[], object]) -> None:
        self.latest = max(self.latest, time.monotonic() - when)
        pool.submit(happen)
