"""Redis answers errors: no process ends, and rides are matched when it is usable again."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.load.chaos.proxy import running
from tests.support.infrastructure import MiniStack, RedisServer, free_port, wait_until
from tests.support.redis_pair import RedisPair, admin
from tests.support.stack import ROLES, Stack

PICKUP = {"latitude": 40.7128, "longitude": -74.0060}
TROUBLE_SECONDS = 4.0
"""Long enough for a sweep, a heartbeat and a restore of unacknowledged jobs to meet it."""
MATCHED_WITHIN_SECONDS = 5.0
"""What the runbook promises, from the moment the server is usable."""
ALMOST_A_MINUTE = timedelta(seconds=50)
TRIES = 3
"""Of the same trouble, because a busy machine may be late once."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisPair]:
    folder = tmp_path_factory.mktemp("pair")
    with RedisPair(RedisServer(folder / "first"), RedisServer(folder / "second")) as pair:
        yield pair


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, ministack: MiniStack, pair: RedisPair
) -> Iterator[Stack]:
    """A stack that knows only the address of a proxy, which leads to the primary."""
    folder, port = tmp_path_factory.mktemp("redis-errors"), free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with (
        running(port, pair.primary.port, folder) as door,
        Stack(
            folder,
            ministack,
            pair.primary,
            REDIS_URL=url,
            FLOWER_ADDRESS="127.0.0.1",
            FLOWER_PORT=str(free_port()),
        ) as stack,
    ):
        pair.doors.append(door)
        stack.start("monitor")
        yield stack


@pytest.fixture(scope="module")
def driver(stack: Stack) -> str:
    """The token of a unicorn that is on duty."""
    return stack.on_duty("driver", PICKUP)


def fail_over_and_back(pair: RedisPair) -> None:
    pair.fail_over()
    time.sleep(TROUBLE_SECONDS)
    pair.fail_over()


def be_a_replica_for_a_while(pair: RedisPair) -> None:
    """The name leads to the same server before and after, which is no primary meanwhile."""
    with admin(pair.primary) as client:
        client.replicaof("127.0.0.1", "1")
        time.sleep(TROUBLE_SECONDS)
        client.replicaof("NO", "ONE")


def limit_for_a_while(pair: RedisPair, name: str, value: str) -> None:
    """Give the primary a limit that is 0 (none) before and after."""
    with admin(pair.primary) as client:
        client.config_set(name, value)
        time.sleep(TROUBLE_SECONDS)
        client.config_set(name, "0")


def be_full_for_a_while(pair: RedisPair) -> None:
    limit_for_a_while(pair, "maxmemory", "1")


def permit_nothing_for_a_while(pair: RedisPair) -> None:
    with admin(pair.primary) as client:
        nothing = {"categories": ["-@all"], "commands": ["+acl"]}
        client.acl_setuser("default", enabled=True, nopass=True, **nothing)
        time.sleep(TROUBLE_SECONDS)
        client.acl_setuser("default", enabled=True, nopass=True, categories=["+@all"])


def be_busy_for_a_while(pair: RedisPair) -> None:
    """A script of somebody else runs until it is killed."""
    address = ("127.0.0.1", pair.primary.port)
    with admin(pair.primary) as client, socket.create_connection(address) as somebody:
        client.config_set("busy-reply-threshold", "100")
        somebody.sendall(b'EVAL "while true do end" 0\r\n')
        time.sleep(TROUBLE_SECONDS)
        client.script_kill()


def miss_its_replicas_for_a_while(pair: RedisPair) -> None:
    limit_for_a_while(pair, "min-replicas-to-write", "9")


def hold_a_text_where_a_queue_should_be(pair: RedisPair) -> None:
    names = ("{wildrydes}:dispatch", "{wildrydes}:sweep", "{wildrydes}:unacked")
    with admin(pair.primary) as client:
        client.mset(dict.fromkeys(names, "a text"))
        time.sleep(TROUBLE_SECONDS)
        client.delete(*names)


@pytest.mark.parametrize(
    "trouble",
    [
        fail_over_and_back,
        be_a_replica_for_a_while,
        be_full_for_a_while,
        permit_nothing_for_a_while,
        be_busy_for_a_while,
        miss_its_replicas_for_a_while,
        hold_a_text_where_a_queue_should_be,
    ],
)
def test_no_error_of_redis_ends_a_process_and_rides_are_matched_after_it(
    stack: Stack, pair: RedisPair, driver: str, trouble: Callable[[RedisPair], None]
) -> None:
    before = pids(stack)
    seconds_to_match(stack, driver)
    took: list[float] = []
    while not took or (min(took) > MATCHED_WITHIN_SECONDS and len(took) < TRIES):
        trouble(pair)
        took.append(seconds_to_match(stack, driver))
        assert pids(stack) == before
    assert min(took) <= MATCHED_WITHIN_SECONDS, took
    wait_until(lambda: readiness(stack) == "ready", "readiness")


def pids(stack: Stack) -> dict[str, int | None]:
    """The running processes; an ended one counts as none."""
    return {
        name: process.pid if process.exit_code is None else None
        for name, process in stack.processes.items()
    }


def readiness(stack: Stack) -> object:
    return stack.call("GET", "/readyz").json["status"]


def seconds_to_match(stack: Stack, driver: str) -> float:
    """Request a ride, and return the seconds until it is matched and a position is recorded.

    Cancels the ride afterwards.
    """
    began = time.monotonic()
    rider = stack.rider_token(f"rider-{uuid.uuid4()}")
    ride = stack.call("POST", "/v1/rides", {"pickup": PICKUP}, token=rider).json["ride_id"]

    def has_unicorn() -> bool:
        position = stack.call("PUT", "/v1/fleet/me/position", PICKUP, token=driver)
        seen = stack.call("GET", f"/v1/rides/{ride}", token=rider).json
        return position.status == 204 and bool(seen["status"] == "matched")

    wait_until(has_unicorn, "the match")
    took = time.monotonic() - began
    assert stack.call("POST", f"/v1/rides/{ride}/cancel", {}, token=rider).status == 200
    return took


def test_beat_logs_once_a_minute_a_failure_that_repeats_every_second(stack: Stack) -> None:
    said = [each for each in stack.log("beat").splitlines() if "not published" in each]
    assert said
    assert "Traceback" not in "".join(said)
    when = [datetime.fromisoformat(json.loads(each)["timestamp"]) for each in said]
    assert all(later - earlier > ALMOST_A_MINUTE for earlier, later in pairwise(when))


def test_the_whole_service_was_tried(stack: Stack) -> None:
    assert set(stack.processes) == {*ROLES, "monitor"}
