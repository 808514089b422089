"""Clients that request rides as fast as they are answered, and remember what they were told."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any, Self

BODY = {"pickup": {"latitude": 40.71, "longitude": -73.95}}


@dataclass(frozen=True)
class Told:
    """One answer: when the request was sent, on the monotonic clock, and how long it took."""

    at: float
    seconds: float
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Pressure:
    """Clients, one for each token, each at an address of its own; a context manager that ends them.

    A client whose connection breaks sends the same request, under the same key, to the next port.
    """

    ports: Sequence[int]
    tokens: Sequence[str]
    answers: list[Told] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    """Names of the exceptions of broken connections."""

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(number, token))
            for number, token in enumerate(self.tokens)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def statuses(self) -> Counter[int]:
        return Counter(told.status for told in self.answers)

    def _call(self, number: int, token: str) -> None:
        address = f"127.0.{1 + number // 250}.{1 + number % 250}"
        connection, key = self._connect(address, number), uuid.uuid4().hex
        while not self._ended.is_set():
            try:
                self.answers.append(self._post(connection, token, key))
                key = uuid.uuid4().hex
            except (OSError, HTTPException) as error:
                self.errors.append(type(error).__name__)
                connection.close()
                number += 1
                connection = self._connect(address, number)
                time.sleep(0.01)
        connection.close()

    def _connect(self, address: str, number: int) -> HTTPConnection:
        port = self.ports[number % len(self.ports)]
        return HTTPConnection("127.0.0.1", port, timeout=30, source_address=(address, 0))

    def _post(self, connection: HTTPConnection, token: str, key: str) -> Told:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        at = time.monotonic()
        connection.request("POST", "/v1/rides", json.dumps(BODY), headers)
        answer = connection.getresponse()
        body = answer.read()
        took = time.monotonic() - at
        return Told(at, took, answer.status, dict(answer.getheaders()), body)
