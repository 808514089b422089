"""A proxy in front of DynamoDB that brings the trouble which the emulator never has.

Real HTTP on a free port of 127.0.0.1. Each trouble is for some operations and a number of requests.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler

from tests.support.infrastructure import MiniStack
from tests.support.local_server import LocalServer, QuietHandler

JSON = "application/x-amz-json-1.0"
EXCEPTIONS = "com.amazonaws.dynamodb.v20120810#"
WRITES = ("PutItem", "UpdateItem", "BatchExecuteStatement", "TransactWriteItems")


class Exchange:
    """One request of the service and what becomes of it."""

    def __init__(self, handler: BaseHTTPRequestHandler, upstream_port: int) -> None:
        self._handler = handler
        self._port = upstream_port
        self.operation = handler.headers["X-Amz-Target"].partition(".")[2]
        self._body = handler.rfile.read(int(handler.headers["Content-Length"]))

    def carry_out(self) -> tuple[int, bytes]:
        """Have DynamoDB do it; what it answered."""
        upstream = HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            upstream.request("POST", "/", self._body, dict(self._handler.headers))
            response: HTTPResponse = upstream.getresponse()
            return response.status, response.read()
        finally:
            upstream.close()

    def answer(self, status: int, body: bytes) -> None:
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", JSON)
        self._handler.send_header("Content-Length", str(len(body)))
        self._handler.end_headers()
        self._handler.wfile.write(body)

    def reset(self) -> None:
        """End the connection with RST, as a peer that has died does."""
        connection = self._handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.close_connection = True
        connection.shutdown(socket.SHUT_RDWR)


Trouble = Callable[[Exchange], None]


def refused(code: str, status: int = 400, **members: object) -> Trouble:
    """Answered with this error, not carried out."""
    body = json.dumps({"__type": EXCEPTIONS + code, "message": "", **members}).encode()
    return lambda exchange: exchange.answer(status, body)


def canceled(*reasons: str) -> Trouble:
    """A transaction not carried out, for these reasons by position."""
    given = [{"Code": reason} for reason in reasons]
    return refused("TransactionCanceledException", CancellationReasons=given)


def reset_before(exchange: Exchange) -> None:
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    """Carried out, but nobody hears of it."""
    exchange.carry_out()
    exchange.reset()


def cut_short(exchange: Exchange) -> None:
    """Carried out, and half the answer arrives."""
    status, body = exchange.carry_out()
    handler = exchange._handler
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:-1])
    handler.close_connection = True


def silent_after(seconds: float) -> Trouble:
    """Carried out, and the answer comes too late."""

    def trouble(exchange: Exchange) -> None:
        exchange.carry_out()
        time.sleep(seconds)
        exchange.reset()

    return trouble


def slow(seconds: float) -> Trouble:
    def trouble(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.answer(*exchange.carry_out())

    return trouble


@dataclass
class Plan:
    """Trouble for the next `left` requests of these operations."""

    trouble: Trouble
    operations: tuple[str, ...]
    left: int


class Troubled(LocalServer):
    """The proxy: `url` is what the service takes for DynamoDB."""

    def __init__(self, upstream: MiniStack) -> None:
        self.asked: list[str] = []
        """Operations in the order they came."""
        self._plans: list[Plan] = []
        self._lock = threading.Lock()
        troubled = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                exchange = Exchange(self, upstream.port)
                troubled._next(exchange.operation)(exchange)

        super().__init__(Handler, clients_keep_alive=True)

    @contextmanager
    def having(self, trouble: Trouble, *operations: str, times: int = 1) -> Iterator[Plan]:
        """The next requests of these operations (all writes by default) meet this trouble."""
        plan = Plan(trouble, operations or WRITES, times)
        self._plans.append(plan)
        try:
            yield plan
        finally:
            self._plans.remove(plan)

    def _next(self, operation: str) -> Trouble:
        with self._lock:
            self.asked.append(operation)
            for plan in self._plans:
                if plan.left and operation in plan.operations:
                    plan.left -= 1
                    return plan.trouble
        return lambda exchange: exchange.answer(*exchange.carry_out())
