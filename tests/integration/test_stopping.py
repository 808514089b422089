"""Web processes under load that get SIGTERM or more requests than they can serve."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from service.local.processes import Process
from tests.load.bench.processes import memory_pss_megabytes
from tests.support.infrastructure import MiniStack, RedisServer, free_port, wait_until
from tests.support.pressure import BODY, Pressure
from tests.support.stack import Answer, Stack, answers, stack_with_redis


@pytest.fixture
def stack(
    tmp_path: Path, ministack: MiniStack, shared_redis_server: RedisServer
) -> Iterator[Stack]:
    with Stack(
        tmp_path, ministack, shared_redis_server, roles=("web",), RATE_LIMIT_ENABLED="false"
    ) as stack:
        yield stack


class EventStream:
    """A ride's events over a connection of its own."""

    def __init__(self, stack: Stack, ride_id: str, token: str, last: str = "0") -> None:
        self._connection = HTTPConnection("127.0.0.1", stack.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": last}
        self._connection.request("GET", f"/v1/rides/{ride_id}/events", headers=headers)
        self.answer: HTTPResponse = self._connection.getresponse()

    def next(self) -> dict[str, Any]:
        """Fields of the next event; none when the stream has ended in order."""
        fields: dict[str, Any] = {}
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                return fields | {"data": json.loads(fields["data"])}
            else:
                fields = {}
        return {}

    def next_named(self, name: str) -> dict[str, Any]:
        while (event := self.next())["event"] != name:
            pass
        return event

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def terminate(process: Process) -> float:
    """Send SIGTERM; returns the seconds until the process has ended with code 0."""
    start = time.monotonic()
    process.send(signal.SIGTERM)
    wait_until(lambda: process.exit_code is not None, "the end of the process")
    assert process.exit_code == 0
    return time.monotonic() - start


def test_a_rider_follows_a_ride_as_it_happens(stack: Stack) -> None:
    token = stack.rider_token("rider-1")
    ride_id = stack.call("POST", "/v1/rides", BODY, token=token).json["ride_id"]
    stream = EventStream(stack, ride_id, token)
    assert stream.answer.getheader("Content-Type") == "text/event-stream"
    first = stream.next()
    assert (first["event"], first["id"], first["data"]["status"]) == ("ride", "1", "requested")
    stack.call("POST", f"/v1/rides/{ride_id}/cancel", token=token)
    last = stream.next_named("ride")
    assert (last["id"], last["data"]["status"]) == ("2", "canceled")
    assert stream.next()["data"] == {"reason": "ride_ended"}
    assert stream.next() == {}
    stream.close()
    again = EventStream(stack, ride_id, token, last="2")
    assert again.answer.status == 204
    again.close()


def test_a_rider_follows_a_ride_while_redis_is_away(tmp_path: Path, ministack: MiniStack) -> None:
    with stack_with_redis(tmp_path, ministack, roles=("web",)) as stack:
        token = stack.rider_token("rider-1")
        ride_id = stack.call("POST", "/v1/rides", BODY, token=token).json["ride_id"]
        stream = EventStream(stack, ride_id, token)
        stream.next()
        stack.redis.kill()
        stack.call("POST", f"/v1/rides/{ride_id}/cancel", token=token)
        assert stream.next_named("ride")["data"]["status"] == "canceled"
        stream.close()


def test_a_stopping_process_answers_who_waits_and_ends_streams_in_order(stack: Stack) -> None:
    request = b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    token = stack.rider_token("rider-1")
    ride_id = stack.call("POST", "/v1/rides", BODY, token=token).json["ride_id"]
    streams = [EventStream(stack, ride_id, token) for _ in range(3)]
    for stream in streams:
        assert stream.next()["event"] == "ride"

    def wait(_: int) -> Answer:
        path, seen = f"/v1/rides/{ride_id}", '"1"'
        return stack.call("GET", path, token=token, Prefer="wait=30", If_None_Match=seen)

    with (
        socket.create_connection(("127.0.0.1", stack.port), timeout=20) as idle,
        socket.create_connection(("127.0.0.1", stack.port), timeout=20) as halfway,
        ThreadPoolExecutor(10) as pool,
        Pressure([stack.port], [token] * 4) as load,
    ):
        idle.sendall(request)
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
        waits = [pool.submit(wait, number) for number in range(10)]
        halfway.sendall(request[:20])
        time.sleep(0.5)
        stack.processes["web"].send(signal.SIGTERM)
        time.sleep(0.5)
        halfway.sendall(request[20:])
        assert halfway.recv(65536).startswith(b"HTTP/1.1 200 "), "a request under way is served"
        seconds = terminate(stack.processes["web"])
        assert idle.recv(1) == b"", "the connection between two requests is closed"
        assert [each.result().status for each in waits] == [304] * 10
        for stream in streams:
            while event := stream.next():
                # Without `end`: the client is to come back, to another process.
                assert event["event"] == "live"
            stream.close()
    print(f"10 long polls, 3 streams, 4 busy clients: exit after {seconds:.2f} s")
    # Far below the longest wait and the containers' stop timeout (30 s).
    assert seconds < 20
    assert load.statuses()[202]
    assert set(load.statuses()) <= {202, 503}


def test_a_rolling_restart_under_load_loses_no_request(stack: Stack) -> None:
    token, port = stack.rider_token("rider-1"), free_port()
    homes = {stack.port: stack.processes.pop("web")}
    try:
        homes[port] = stack.start_web(port)
        with Pressure([stack.port, port], [token] * 4) as load:
            for at in tuple(homes):
                sent = len(load.answers)
                terminate(homes[at])
                homes[at] = stack.start_web(at)
                wait_until(lambda s=sent: len(load.answers) > s + 20, "requests go on")
    finally:
        for process in homes.values():
            process.stop(grace=20)
    print(f"{len(load.answers)} requests, connections broken: {Counter(load.errors)}")
    assert set(load.statuses()) == {202}
    assert len({told.json["ride_id"] for told in load.answers}) == len(load.answers)
    retryable = {"ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}
    assert set(load.errors) <= retryable | {"BrokenPipeError"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_more_than_can_be_done_is_refused_politely_and_leaves_no_trace(stack: Stack) -> None:
    terminate(stack.processes["web"])
    stack.environment["API_MAX_IN_FLIGHT"] = "1"
    stack.start("web")
    wait_until(lambda: answers(stack.port), "a web process")
    token = stack.rider_token("rider-1")
    assert stack.call("POST", "/v1/rides", BODY, token=token).status == 202
    before = memory_pss_megabytes(stack.processes["web"].pid)
    with Pressure([stack.port], [token] * 150) as load:
        time.sleep(3)
        assert stack.call("GET", "/healthz").status == 200
        peak = memory_pss_megabytes(stack.processes["web"].pid)
    assert load.errors == []
    assert set(load.statuses()) == {202, 503}
    refused = [told for told in load.answers if told.status == 503]
    assert {told.headers["Retry-After"] for told in refused} == {"1"}
    assert {told.json["reason"] for told in refused} == {"unavailable"}
    assert peak < before + 60
    # Nobody is in flight any more.
    assert stack.call("GET", "/v1/rides", token=token).status == 200
