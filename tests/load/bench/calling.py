"""Calls of a replay's clients: one connection per thread, and each call at its time."""

from __future__ import annotations

import heapq
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import count
from typing import Any


class Caller:
    """One kept-alive connection per thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mine = threading.local()
        self.statuses: Counter[int] = Counter()

    def __call__(
        self, method: str, path: str, token: str, body: object = None, **headers: str
    ) -> Any:
        """The parsed answer; None if it has no body. Raises `HTTPException` if the request is
        refused.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer, content = self._patiently(
            method, path, None if body is None else json.dumps(body), sent
        )
        if answer.status >= 400:
            raise HTTPException(f"{method} {path}: {answer.status} {content[:200]!r}")
        return json.loads(content) if content else None

    def _patiently(self, *request: Any) -> tuple[HTTPResponse, bytes]:
        """Repeat the call while the service is busy, after the pause that its answer names."""
        while True:
            answer, content = self._exchange(*request)
            self.statuses[answer.status] += 1
            if answer.status != 503:
                return answer, content
            time.sleep(float(answer.headers["Retry-After"]))

    def _exchange(self, *request: Any) -> tuple[HTTPResponse, bytes]:
        """Send again if the server had closed the idle connection; every request here may be
        repeated.
        """
        for _ in range(2):
            connection = self._connection()
            try:
                connection.request(*request)
                answer = connection.getresponse()
                return answer, answer.read()
            except ConnectionError:
                connection.close()
            except BaseException:
                connection.close()  # after half an exchange, it would refuse all further ones
                raise
        raise HTTPException("closed twice without an answer")

    def _connection(self) -> HTTPConnection:
        if not hasattr(self._mine, "connection"):
            self._mine.connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        return self._mine.connection  # type: ignore[no-any-return]


class Timetable:
    """Calls functions at their time, each in a thread of a pool."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, ThreadPoolExecutor, Callable[[], object]]] = []
        self._order = count()
        self._changed = threading.Condition()
        self._ended = False
        self.latest = 0.0
        """The greatest delay, in seconds, with which this client started a call."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def at(self, when: float, pool: ThreadPoolExecutor, happen: Callable[[], object]) -> None:
        """Call a function at `when`, on the monotonic clock."""
        with self._changed:
            heapq.heappush(self._entries, (when, next(self._order), pool, happen))
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            pool, happen = due
            pool.submit(happen)

    def _next(self) -> tuple[ThreadPoolExecutor, Callable[[], object]] | None:
        with self._changed:
            while not self._ended:
                ahead = self._entries[0][0] - time.monotonic() if self._entries else None
                if ahead is not None and ahead <= 0:
                    self.latest = max(self.latest, -ahead)
                    return heapq.heappop(self._entries)[2:]
                self._changed.wait(ahead)
        return None
