"""Operators see workers come and go, queues move on, and poison set aside, on real processes."""

from __future__ import annotations

import json
from typing import Any

import redis

from service.matching.zones import zone_of
from service.model import Location
from service.stores.broker import DISPATCH_QUEUE, KEY_PREFIX
from tests.support.infrastructure import wait_until
from tests.support.stack import Stack

SOON = 15.0
"""What an operator is promised about a worker that died."""

GARBAGE = [
    b"\xff\xfe not even text",
    b"not JSON",
    b"5",
    b"[1, 2, 3]",
    b"{}",
    b'{"properties": {"delivery_tag": "t", "delivery_info": {}}}',
]


def listed(stack: Stack, what: str) -> list[dict[str, Any]]:
    answer = stack.call("GET", f"/v1/admin/{what}", token=stack.admin_token())
    assert answer.status == 200, answer.body
    rows: list[dict[str, Any]] = answer.json[what.replace("-", "_")]
    return rows


def a_message(**headers: object) -> dict[str, Any]:
    """A broker message as kombu writes it, with a body that is no JSON."""
    delivery = {"exchange": "", "routing_key": DISPATCH_QUEUE}
    return {
        "body": "not JSON",
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {"delivery_tag": "tag", "delivery_info": delivery},
    }


def test_unreadable_messages_are_dropped_and_the_queue_moves_on(stack: Stack) -> None:
    """Counted and logged without their content, which may be personal."""
    worker = stack.processes["worker"]
    secret = "rider-at-home"
    with redis.Redis.from_url(stack.redis.url) as client:
        senseless = [
            *GARBAGE,
            json.dumps(a_message()),
            json.dumps(a_message(task=5, id="1")),
            json.dumps(a_message(task="dispatch.round", argsrepr=secret)),
            json.dumps(a_message(task="dispatch.round", id="1", argsrepr=secret)),
            json.dumps(a_message(task=secret, id="1", argsrepr=secret)),
        ]
        client.lpush(f"{KEY_PREFIX}{DISPATCH_QUEUE}", *senseless)
        wait_until(
            lambda: stack.log("worker").count('"message dropped"') == len(senseless),
            stack.log("worker"),
        )
        wait_until(lambda: client.hlen(f"{KEY_PREFIX}unacked") <= 2, "every message is given up")
    queues = {queue["name"]: queue for queue in listed(stack, "queues")}
    assert queues["dispatch"]["ready"] == 0
    assert listed(stack, "dead-letters") == []
    assert worker.exit_code is None
    assert "Unrecoverable" not in stack.log("worker")
    assert secret not in stack.log("worker")


def test_an_unreadable_waiting_ride_is_dropped_and_costs_the_others_nothing(stack: Stack) -> None:
    zone = zone_of(Location(40.7128, -74.0060))
    waiting = f"wildrydes:{{{zone}}}:waiting"
    with redis.Redis.from_url(stack.redis.url) as client:
        for name in ("ride-x", b"\xff"):
            client.hset(waiting, name, b'[1, {"rider_id": "rider-at-home\xff"}]')
        rider = stack.rider_token("rider-1")
        pickup = {"latitude": 40.7128, "longitude": -74.0060}
        ride = stack.call("POST", "/v1/rides", {"pickup": pickup}, token=rider).json
        wait_until(
            lambda: client.hkeys(waiting) == [ride["ride_id"].encode()], "the entries are dropped"
        )
    assert listed(stack, "dead-letters") == []
    assert "rider-at-home" not in stack.log("worker")
    (dispatch,) = [queue for queue in listed(stack, "queues") if queue["name"] == "dispatch"]
    assert 0 <= dispatch["oldest_waiting_seconds"] < 60


def test_a_worker_is_seen_alive_then_lost_and_one_that_ends_is_gone(stack: Stack) -> None:
    wait_until(lambda: listed(stack, "workers"), "first heartbeat")
    wait_until(lambda: listed(stack, "workers")[0]["done"], "a sweep is done")
    (worker,) = listed(stack, "workers")
    assert worker["state"] == "running"
    assert worker["failed"] == 0
    assert worker["memory_bytes"] > 50_000_000
    assert worker["version"] == "development"
    stack.kill("worker")
    assert [*stack.temporary.glob("pymp-*")], "what it left is in the test's own folder"
    wait_until(lambda: listed(stack, "workers")[0]["state"] == "lost", "loss", SOON)
    stack.start("worker")
    wait_until(lambda: len(listed(stack, "workers")) == 2, "the next worker's heartbeat")
    stack.processes.pop("worker").stop(grace=20)
    wait_until(lambda: len(listed(stack, "workers")) == 1, "the worker's goodbye")
