"""Compares a Redis server with what this release needs."""

from __future__ import annotations

from service.model.errors import Unavailable
from service.stores.redis.link import RedisLink


def faults_of_redis(link: RedisLink) -> list[str]:
    """The faults of the server, a sentence each; empty if there are none.

    Three remote calls. Raises `Unavailable` if it does not answer or does not run scripts.
    """
    with link.use() as client:
        client.eval("return redis.call('TIME')[1]", 0)
    try:
        with link.use() as client:
            memory, replication = client.info("memory"), client.info("replication")
    except Unavailable:
        return ["this user may not run INFO, so the memory policy is not known"]
    faults = []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        faults.append(f"its memory policy is {policy}, which may evict jobs: set it to noeviction")
    if replication.get("role", "master") != "master":
        faults.append("it is a replica, which refuses writes")
    return faults
