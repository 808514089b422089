"""A small OSRM: the table service as documented, over real HTTP, as bad as a test wants it to be.

http://project-osrm.org/docs/v5.24.0/api/#table-service
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.local_server import LocalServer, QuietHandler

Place = tuple[float, float]
"""Longitude and latitude."""
Table = list[list[float | None]]


def drive(source: Place, target: Place) -> float:
    """Seconds: anything that tells pairs and directions apart."""
    return round(1000 * abs(source[0] - target[0]) + 2000 * abs(source[1] - target[1]), 1)


@dataclass(frozen=True)
class Question:
    sources: list[Place]
    targets: list[Place]
    options: dict[str, list[str]]


def answer_of(question: Question) -> dict[str, Any]:
    durations: Table = [[drive(s, t) for t in question.targets] for s in question.sources]
    return {
        "code": "Ok",
        "durations": durations,
        "distances": [[10 * cell if cell is not None else None for cell in r] for r in durations],
        "sources": [_waypoint(place) for place in question.sources],
        "destinations": [_waypoint(place) for place in question.targets],
    }


def _waypoint(place: Place) -> dict[str, Any]:
    return {"location": list(place), "name": "Rue de la Licorne", "distance": 0.0}


@dataclass
class TableServer(LocalServer):
    """A context manager; everything about it may change at any time."""

    status: int = 200
    answer: Callable[[Question], Any] = answer_of
    """A document, or bytes to send as they are."""
    headers: dict[str, str] = field(default_factory=dict)
    most_places: int = 100
    asked: list[Question] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()
        super().__init__(self._handler(), clients_keep_alive=True)

    def release(self) -> None:
        self.may_answer.set()

    def respond(self, target: str) -> tuple[int, bytes]:
        question = _parsed(target)
        self.asked.append(question)
        if len({*question.sources, *question.targets}) > self.most_places:
            return 400, b'{"code":"TooBig","message":"Too many table coordinates"}'
        document = self.answer(question)
        return self.status, document if isinstance(document, bytes) else _encoded(document)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = server.respond(self.path)
                server.may_answer.wait()
                try:
                    self._send(status, body)
                except OSError:
                    self.close_connection = True

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


def _encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def _parsed(target: str) -> Question:
    parts = urlsplit(target)
    match = re.fullmatch(r"(?:/osrm)?/table/v1/driving/([-0-9.,;]+)", parts.path)
    assert match, target
    places = [tuple(map(float, each.split(","))) for each in match[1].split(";")]
    options = parse_qs(parts.query, strict_parsing=True)

    def chosen(name: str) -> list[Any]:
        return [places[int(number)] for number in options.pop(name)[0].split(";")]

    return Question(chosen("sources"), chosen("destinations"), options)
