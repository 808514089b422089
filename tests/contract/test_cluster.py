"""The key layout on a server in cluster mode, which refuses calls whose keys have several slots.

The same tests as on a plain server, run again on one that holds all the slots of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from service.local.processes import Program
from tests.contract import test_fleet_index, test_waiting_rides
from tests.support.infrastructure import RedisServer, free_port, wait_until

HASH_SLOTS = 16384


class ClusterServer(RedisServer):
    """The only node of a cluster."""

    def program(self) -> Program:
        plain = super().program()
        mode = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
        return replace(plain, command=[*plain.command, *mode])

    def start(self) -> None:
        super().start()
        with redis.Redis(port=self.port) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, HASH_SLOTS - 1)
            wait_until(lambda: self._is_up(client), "all slots are served")

    def _is_up(self, client: Any) -> bool:
        return bool(client.cluster("info")["cluster_state"] == "ok")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterServer]:
    with ClusterServer(tmp_path_factory.mktemp("cluster")) as server:
        yield server


@pytest.fixture
def redis_server(cluster: ClusterServer) -> ClusterServer:
    """In the place of the plain server of the same tests elsewhere."""
    with redis.Redis(port=cluster.port) as client:
        client.flushall()
    return cluster


def test_the_server_refuses_keys_of_several_slots(redis_server: ClusterServer) -> None:
    with (
        redis.Redis(port=redis_server.port) as client,
        pytest.raises(redis.exceptions.RedisError, match=r"(?i)crossslot|same slot"),
    ):
        client.mset({"one": "1", "two": "2"})


for _module in (test_waiting_rides, test_fleet_index):
    globals().update({name: each for name, each in vars(_module).items() if name[0] != "_"})
