"""`doctor`: checks that the stores, keys and clocks of a task fit this release."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

import click

from service.auth.jwks import BadKeySet, Endpoint, read_key_set
from service.bootstrap import JOB_TIMEOUT_SECONDS
from service.clock import BOUND, DYNAMODB, HOST, REDIS
from service.command.tools import Output, Tools, with_output
from service.model.errors import Unavailable
from service.outbound import RequestFailed
from service.setting_types import Parts
from service.settings import ApiSettings, load
from service.stores.dynamodb.inspection import faults_of_tables, notes_on_tables
from service.stores.redis.link import RedisLink, connect


class KeySettings(ApiSettings):
    """The API's settings for token keys. A task of commands lacks the API's other settings."""

    public_url: str = ""
    cognito_client_ids: Annotated[tuple[str, ...], Parts] = ()
    auth_jwks_file: str = ""
    """Any file: the check names a bad one beside the other faults."""


class Check(NamedTuple):
    """The result of checking one part: its faults, and notes that are no faults."""

    part: str
    faults: list[str]
    notes: list[str]


@click.command()
@with_output
def doctor(output: Output) -> None:
    """Check that tables, Redis, keys and clocks fit this release.

    Checks the tables with their keys, indexes and expiry (no stream is needed), Redis and the
    broker, the keys of the user pool (if COGNITO_USER_POOL_ID is set), and the difference between
    the clocks of this machine, Redis and DynamoDB. Changes nothing. The exit code is 1 if there is
    a fault.
    """
    checks = list(_checks(Tools()))
    faults = [f"{check.part}: {fault}" for check in checks for fault in check.faults]
    output.show(
        {"faults": faults, "checks": [check._asdict() for check in checks]}, *_lines(checks)
    )
    sys.exit(1 if faults else 0)


def _lines(checks: list[Check]) -> Iterator[str]:
    for check in checks:
        yield from (f"FAULT  {check.part}: {fault}" for fault in check.faults)
        if not check.faults:
            yield f"ok     {check.part}"
        yield from (f"       {check.part}: {note}" for note in check.notes)
    count = sum(len(check.faults) for check in checks)
    yield f"{count} faults: correct them before you run this release" if count else "no faults"


def _checks(tools: Tools) -> Iterator[Check]:
    settings = tools.settings
    yield _check("tables", lambda: _tables(tools))
    yield _check("redis", lambda: (_redis(tools.redis.link), []))
    if settings.broker_url != settings.redis_url:
        broker = RedisLink(connect(settings.broker_url, timeout_seconds=JOB_TIMEOUT_SECONDS))
        yield _check("broker", lambda: (_redis(broker), []))
    yield _check("keys", lambda: _keys(settings.cognito_user_pool_id))
    yield _check("clocks", lambda: _clocks(tools))


def _check(part: str, check: Callable[[], tuple[list[str], list[str]]]) -> Check:
    try:
        return Check(part, *check())
    except Unavailable as error:
        return Check(part, [str(error)], [])


def _tables(tools: Tools) -> tuple[list[str], list[str]]:
    faults = faults_of_tables(tools.dynamodb, tools.settings)
    if not faults:
        return [], notes_on_tables(tools.dynamodb, tools.settings)
    return faults, [
        "not the tables of this release: deploy data.yaml or run `tables create` to add what is"
        " missing"
    ]


def _redis(link: RedisLink) -> list[str]:
    """The faults of the server, a sentence each; empty if there are none.

    Three remote calls. Raises `Unavailable` if it does not answer or does not run scripts.
    """
    with link.use() as client:
        client.eval("return redis.call('TIME')[1]", 0)
    try:
        with link.use() as client:
            memory, replication = client.info("memory"), client.info("replication")
    except Unavailable as error:
        return [f"INFO failed ({error}), so the memory policy is not known; may this user run it?"]
    faults = []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        faults.append(f"its memory policy is {policy}, which may evict jobs: set it to noeviction")
    if replication.get("role", "master") != "master":
        faults.append("it is a replica, which refuses writes")
    return faults


def _keys(user_pool_id: str) -> tuple[list[str], list[str]]:
    if not user_pool_id:
        return [], ["not needed: COGNITO_USER_POOL_ID is not set"]
    settings = load(KeySettings)
    hosts = settings.auth_jwks_allow_http_hosts
    try:
        if settings.auth_jwks_file:
            document = Path(settings.auth_jwks_file).read_bytes()
        else:
            document = Endpoint(settings.jwks_url, allow_http_hosts=hosts)()
        return [], [f"{len(read_key_set(document).keys)} usable keys"]
    except (RequestFailed, BadKeySet, OSError) as error:
        return [f"no usable key set: {error}"], []


def _clocks(tools: Tools) -> tuple[list[str], list[str]]:
    off = tools.clock.off()
    faults = [
        f"the clock of {name} differs by {_seconds(difference)} s from the service's time"
        for name, difference in off.items()
        if abs(difference) > BOUND
    ]
    unread = [name for name in (HOST, REDIS, DYNAMODB) if name not in off]
    return faults, [f"the clock of {name} could not be read" for name in unread]


def _seconds(difference: timedelta) -> str:
    return f"{difference.total_seconds():+.1f}"
