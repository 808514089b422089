"""Each role works with the Redis rights that `docker/redis.acl` gives it, and has no more."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import urllib3
from redis.exceptions import NoPermissionError

from service.local.emulators import listens
from service.stores.redis import misplaced
from tests.support.infrastructure import PROJECT, MiniStack, RedisServer, free_port, wait_until
from tests.support.stack import Stack, answers

RULES = dict(
    re.findall(
        r"^user wildrydes-(\w+) off (.+)$",
        (PROJECT / "docker" / "redis.acl").read_text(),
        re.MULTILINE,
    )
)
PASSWORD = "secret"
PICKUP = {"latitude": 40.7128, "longitude": -74.0060}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def admin(server: RedisServer) -> Iterator[Any]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        for role, rules in RULES.items():
            user = f"wildrydes-{role}"
            client.execute_command("ACL SETUSER", user, "on", f">{PASSWORD}", *rules.split())
        yield client


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, ministack: MiniStack, server: RedisServer, admin: Any
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("rights")
    metrics, monitor = free_port(), free_port()
    with Stack(
        folder,
        ministack,
        server,
        roles=(),
        METRICS_PORT=str(metrics),
        FLOWER_ADDRESS="127.0.0.1",
        FLOWER_PORT=str(monitor),
    ) as stack:
        for role in RULES:
            url = f"redis://wildrydes-{role}:{PASSWORD}@127.0.0.1:{server.port}/0"
            stack.environment["REDIS_URL"] = url
            stack.start(role)
        wait_until(lambda: answers(stack.port), "the API")
        wait_until(lambda: "ready" in stack.log("worker"), "the worker")
        wait_until(lambda: "ready" in stack.log("media"), "the media role")
        wait_until(lambda: all(listens(metrics + n) for n in range(3)), "the metrics of each role")
        yield stack


def test_a_ride_and_its_views_need_no_right_that_is_not_given(stack: Stack, admin: Any) -> None:
    driver, rider = stack.on_duty("driver", PICKUP), stack.rider_token(f"rider-{uuid.uuid4()}")
    assert "\n".join(refused(admin)) == ""
    ride = stack.call("POST", "/v1/rides", {"pickup": PICKUP}, token=rider, Prefer="wait=20")
    assert ride.status == 201, ride.body
    for step in ("arrive", "start", "complete"):
        path = f"/v1/fleet/me/rides/{ride.json['ride_id']}/{step}"
        stack.call("POST", path, PICKUP, token=driver)
    for nowhere in (
        PICKUP | {"recorded_at": "2020-01-01T00:00:00Z"},
        {"latitude": 0, "longitude": 0},
    ):
        answer = stack.call("PUT", "/v1/fleet/me/position", nowhere, token=driver)
        assert answer.status in {200, 204}
    look_at_everything(stack)
    time.sleep(6)  # Flower asks for events every 5 s
    assert "\n".join(refused(admin)) == ""
    assert stack.call("GET", "/readyz").json == {"status": "ready", "failing": []}
    found = {key: admin.type(key) for key in admin.scan_iter("wildrydes:*")}
    there = {key: name for key, name in found.items() if name != "none"}  # the others ended since
    assert there == {key: misplaced.type_of(key) for key in there}
    assert there
    wait_until(lambda: nameless(admin) == [], "a name on each connection")


def test_no_role_may_do_what_only_operators_do(admin: Any, server: RedisServer) -> None:
    for role in RULES:
        url = f"redis://wildrydes-{role}:{PASSWORD}@127.0.0.1:{server.port}/0"
        with redis.Redis.from_url(url) as client:
            for words in (
                ("FLUSHALL",),
                ("KEYS", "*"),
                ("CONFIG", "GET", "*"),
                ("SHUTDOWN",),
                ("REPLICAOF", "NO", "ONE"),
                ("GET", "somebody-elses"),
            ):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*words)


def refused(admin: Any) -> list[str]:
    """The refusals in the server's log: user, reason and object."""
    return [f"{each['username']} {each['reason']} {each['object']}" for each in admin.acl_log()]


def nameless(admin: Any) -> list[Any]:
    """Connections of the service without a name. A new connection gets its name at once."""
    others = [each for each in admin.client_list() if each["id"] != str(admin.client_id())]
    assert others
    return [each for each in others if not each["name"].startswith("wildrydes-")]


def look_at_everything(stack: Stack) -> None:
    admin, rider = stack.admin_token(), stack.rider_token("rider")
    for path in ("workers", "queues", "rides", "unicorns", "dead-letters"):
        assert stack.call("GET", f"/v1/admin/{path}", token=admin).status == 200
    paused = stack.call("PUT", "/v1/admin/dispatch", {"paused": True}, token=admin)
    resumed = stack.call("PUT", "/v1/admin/dispatch", {"paused": False}, token=admin)
    assert {paused.status, resumed.status} <= {200, 204}
    revoked = stack.call("POST", "/v1/admin/revocations", {"sub": "nobody"}, token=admin)
    assert revoked.status == 204
    place = {"pickup": PICKUP, "dropoff": PICKUP}
    assert stack.call("POST", "/v1/estimates", place, token=rider).status == 200
    nearby = f"/v1/unicorns/nearby?latitude={PICKUP['latitude']}&longitude={PICKUP['longitude']}"
    assert stack.call("GET", nearby, token=rider).status == 200
    first = int(stack.environment["METRICS_PORT"])
    for port in (first, first + 1, first + 2):
        url = f"http://127.0.0.1:{port}/metrics"
        assert urllib3.request("GET", url, timeout=5, retries=False).status == 200
