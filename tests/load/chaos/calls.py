"""Calls to the API that are recorded in the history and repeated until they are answered."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from tests.load.chaos.history import History

TIMEOUT_SECONDS: Final = 8.0
"""Time limit of a call in seconds, in addition to the time that it asks the service to wait."""
RETRIED: Final = frozenset({429, 500, 502, 503, 504})
LONGEST_PAUSE_SECONDS: Final = 2.0
STAYS_WITH_A_PROCESS: Final = 0.9


class GaveUp(Exception):
    """Raised if the run ends before the call was answered."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    json: Any


class Posts:
    """Announces each request for a ride when it is sent, so that a fault can strike while it is
    under way.
    """

    def __init__(self) -> None:
        self._sent = threading.Condition()
        self._count: dict[int, int] = {}

    def note(self, port: int) -> None:
        with self._sent:
            self._count[port] = self._count.get(port, 0) + 1
            self._sent.notify_all()

    def wait(self, ports: tuple[int, ...], seconds: float) -> int | None:
        """Wait until the next request is sent. Returns the port that it was sent to; None if there
        was none.
        """
        with self._sent:
            before = dict(self._count)

            def new() -> list[int]:
                return [port for port in ports if self._count.get(port) != before.get(port)]

            self._sent.wait_for(lambda: bool(new()), seconds)
            return next(iter(new()), None)


@dataclass
class Api:
    """The objects that all clients share."""

    ports: tuple[int, ...]
    history: History
    ended: threading.Event = field(default_factory=threading.Event)
    """Once it is set, no client tries again."""
    posts: Posts = field(default_factory=Posts)


class Client:
    """One caller with a token. It makes one call at a time on a connection that stays open."""

    def __init__(self, api: Api, who: str, token: str, chance: random.Random) -> None:
        self.api = api
        self.who = who
        self.chance = chance
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._port = chance.choice(api.ports)
        self._connection: HTTPConnection | None = None
        self.sent_at = 0.0
        """Wall-clock time of the last attempt; its answer is about an instant after it."""

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def insist(
        self, verb: str, path: str, body: object = None, *, wait: int = 0, **headers: str
    ) -> Reply:
        """Call until there is an answer that is not "try again". Raises `GaveUp`."""
        pause = 0.05
        while True:
            reply = self.call(verb, path, body, wait=wait, **headers)
            if reply is not None and reply.status not in RETRIED:
                return reply
            if self.api.ended.is_set():
                raise GaveUp(f"{verb} {path}")
            # As a load balancer does with one that refuses.
            self._move()
            time.sleep(self.chance.uniform(0, pause))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def call(
        self, verb: str, path: str, body: object = None, *, wait: int = 0, **headers: str
    ) -> Reply | None:
        """Make one attempt; None if its result is unknown."""
        self._perhaps_move()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if wait:
            sent["Prefer"] = f"wait={wait}"
        about = {"key": sent["Idempotency-Key"]} if "Idempotency-Key" in sent else {}
        self.sent_at = time.time()
        number = self.api.history.sent(
            who=self.who, verb=verb, path=path, port=self._port, wait=wait, **about
        )
        try:
            reply = self._exchange(verb, path, body, self._headers | sent, wait)
        except (OSError, HTTPException) as error:
            self.api.history.add("unknown", call=number, cause=repr(error))
            self._move()
            return None
        self.api.history.add("answered", call=number, status=reply.status)
        return reply

    def _perhaps_move(self) -> None:
        """Choose a port as a balancer would, so that a restarted process gets its share again."""
        if self.chance.random() > STAYS_WITH_A_PROCESS:
            self._move()

    def _move(self) -> None:
        self.close()
        self._port = self.chance.choice(self.api.ports)

    def _exchange(
        self, verb: str, path: str, body: object, headers: Mapping[str, str], wait: int
    ) -> Reply:
        connection = self._connection
        if connection is None:
            connection = self._connection = HTTPConnection("127.0.0.1", self._port)
            connection.timeout = TIMEOUT_SECONDS
            connection.connect()
        connection.sock.settimeout(TIMEOUT_SECONDS + wait)
        data = b"" if body is None else json.dumps(body).encode()
        connection.request(verb, path, data, dict(headers))
        if path == "/v1/rides" and verb == "POST":
            self.api.posts.note(self._port)
        answer = connection.getresponse()
        text = answer.read()
        if answer.will_close:
            self.close()
        return Reply(answer.status, dict(answer.getheaders()), json.loads(text) if text else None)
