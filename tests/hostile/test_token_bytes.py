"""Nothing of a token leaves the request: not into a job, not into Redis, a table or the log."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.stores.broker import DISPATCH_QUEUE, KEY_PREFIX
from tests.support.infrastructure import MiniStack, RedisServer
from tests.support.stack import Stack

JOBS = f"{KEY_PREFIX}{DISPATCH_QUEUE}"
RIDE = {"pickup": {"latitude": 1.5, "longitude": 2.5}}


@pytest.fixture
def stack(tmp_path: Path, ministack: MiniStack, redis_server: RedisServer) -> Iterator[Stack]:
    with Stack(tmp_path, ministack, redis_server, roles=("web",)) as stack:
        yield stack


def everything_in(client: redis.Redis) -> dict[bytes, bytes]:
    """Each key's whole value, as text."""
    readers = {
        b"string": client.get,
        b"list": lambda name: client.lrange(name, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
    }
    return {name: repr(readers[client.type(name)](name)).encode() for name in client.keys("*")}


def bodies(client: redis.Redis) -> list[bytes]:
    """What the waiting jobs say, which the broker keeps in base64."""
    jobs = [json.loads(job) for job in client.lrange(JOBS, 0, -1)]
    return [base64.b64decode(job["body"]) for job in jobs]


def test_no_byte_of_a_token_is_kept_anywhere(stack: Stack) -> None:
    token = stack.rider_token("rider-1")
    answer = stack.call("POST", "/v1/rides", RIDE, token=token, Idempotency_Key="key-1")
    assert answer.status == 202
    assert stack.call("GET", "/v1/rides", token=token[:-4]).status == 401
    with redis.Redis.from_url(stack.redis.url) as client:
        kept = everything_in(client)
        kept[b"jobs"] = b"".join(bodies(client))
    assert kept[b"jobs"], "no job is waiting"
    tables = stack.ministack.dynamodb_client()
    for name in ("RIDES_TABLE", "UNICORNS_TABLE", "OPERATIONS_TABLE"):
        kept[name.encode()] = repr(tables.scan(TableName=stack.environment[name])).encode()
    kept[b"log"] = stack.log("web").encode()
    # Any run of characters long enough to be nothing else.
    pieces = [
        piece[at : at + 16].encode() for piece in token.split(".") for at in range(0, 1200, 16)
    ]
    pieces = [piece for piece in pieces if len(piece) == 16]
    assert len(pieces) > 40
    for name, value in kept.items():
        assert not [piece for piece in pieces if piece in name + value], name


def test_a_job_carries_ids_only(stack: Stack) -> None:
    stack.call("POST", "/v1/rides", RIDE, token=stack.rider_token("rider-1"), X_Request_Id="req-1")
    with redis.Redis.from_url(stack.redis.url) as client:
        (message,) = client.lrange(JOBS, 0, -1)
        (body,) = bodies(client)
    assert b"req-1" in message + body
    assert not re.search(rb"(?i)bearer|authorization|rider-1", message + body)
