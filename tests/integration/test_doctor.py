"""`python -m service doctor` on real stores names each missing or different part of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service import bootstrap
from service.stores.clocks import redis_clock
from service.stores.dynamodb.schema import TABLES, definition
from service.stores.redis.link import connect
from tests.integration.test_command import Command
from tests.support.infrastructure import MiniStack, RedisServer, free_port
from tests.support.token_mint import Mint, jwks

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

POOL = "us-east-1_Example"


@pytest.fixture
def command(ministack: MiniStack, redis_server: RedisServer) -> Command:
    return Command(ministack, redis_server)


def faults(command: Command, part: str = "") -> list[str]:
    """The doctor's faults of a part, or of all parts. Checks the exit code."""
    done = command.run("doctor")
    found = [line[7:] for line in done.stdout.splitlines() if line.startswith("FAULT")]
    assert done.exit_code == (1 if found else 0), done.output
    assert ("no faults" in done.stdout) == (not found)
    fine = {line[7:] for line in done.stdout.splitlines() if line.startswith("ok ")}
    faulty = {fault.partition(":")[0] for fault in found}
    assert not fine & faulty
    assert fine | faulty == {"tables", "redis", "keys", "clocks"}
    return [fault for fault in found if fault.startswith(part)]


def test_stores_of_this_release_have_no_faults(command: Command) -> None:
    command.json("tables", "create")
    assert faults(command) == []
    report = command.json("doctor")
    assert {check["part"] for check in report["checks"]} == {"tables", "redis", "keys", "clocks"}


def test_each_missing_table_is_named(command: Command) -> None:
    names = command.settings.table_names
    assert faults(command, "tables") == [f"tables: {name}: no such table" for name in names]


def of_another_release(name: str, change: str) -> CreateTableInputTypeDef:
    """The rides' table as another release makes it: it differs in one property."""
    made: Any = definition(name, TABLES[0])
    indexes = made["GlobalSecondaryIndexes"]
    by_day = next(each for each in indexes if each["IndexName"] == "by_day")
    match change:
        case "key":
            made["KeySchema"][0]["AttributeName"] = "rider_id"
        case "index":
            indexes.remove(by_day)
        case "keys of an index":
            by_day["KeySchema"][0]["AttributeName"] = "shard"
        case "attributes of an index":
            by_day["Projection"] = {"ProjectionType": "ALL"}
        case "one more attribute of an index":
            open_rides = next(each for each in indexes if each["IndexName"] == "open_rides")
            open_rides["Projection"]["NonKeyAttributes"].append("status")
    keys = {part["AttributeName"] for each in (made, *indexes) for part in each["KeySchema"]}
    made["AttributeDefinitions"] = [
        {"AttributeName": key, "AttributeType": "S"} for key in sorted(keys)
    ]
    return made  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("key", "its key is rider_id, and this release needs ride_id: it is another table"),
        ("index", "no index by_day"),
        (
            "keys of an index",
            "index by_day has the keys shard, requested_at, and this release needs day_shard, "
            "requested_at",
        ),
        ("attributes of an index", "index by_day holds other attributes than this release needs"),
        (
            "one more attribute of an index",
            "index open_rides holds other attributes than this release needs",
        ),
        ("expiry", "items do not expire by expires_at"),
    ],
)
def test_a_table_of_another_release_is_refused_in_words(
    command: Command, ministack: MiniStack, change: str, fault: str
) -> None:
    name = command.settings.rides_table
    ministack.dynamodb_client().create_table(**of_another_release(name, change))
    assert f"tables: {name}: {fault}" in faults(command, "tables")
    assert "not the tables of this release" in command.run("doctor").stdout


def test_an_index_that_only_the_last_release_reads_is_no_fault(
    command: Command, ministack: MiniStack
) -> None:
    name = command.settings.rides_table
    made: Any = definition(name, TABLES[0])
    former = dict(made["GlobalSecondaryIndexes"][1], IndexName="by_rider")
    made["GlobalSecondaryIndexes"].append(former)
    ministack.dynamodb_client().create_table(**made)
    command.json("tables", "create")
    assert faults(command) == []
    unused = "index by_rider is not used by this release (the previous release"
    assert unused in command.run("doctor").stdout


def test_a_cache_that_evicts_jobs_is_a_fault(command: Command, tmp_path: Path) -> None:
    command.json("tables", "create")
    with RedisServer(tmp_path) as redis:
        command.environment["REDIS_URL"] = redis.url
        assert faults(command) == []
        connect(redis.url, timeout_seconds=2).config_set("maxmemory-policy", "allkeys-lru")
        (fault,) = faults(command)
    assert fault.startswith("redis: its memory policy is allkeys-lru")


def test_a_cache_that_is_away_is_a_fault_and_no_traceback(command: Command) -> None:
    command.json("tables", "create")
    command.environment["REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"
    assert faults(command) == ["redis: Redis: ConnectionError"]
    # Nothing is known about its clock.
    assert "clocks: the clock of redis could not be read" in command.run("doctor").stdout


@pytest.mark.parametrize("document", [b"", b'{"keys":[]}', b"<html>"])
def test_keys_that_cannot_be_used_are_a_fault(
    command: Command, tmp_path: Path, document: bytes
) -> None:
    command.json("tables", "create")
    file = tmp_path / "jwks.json"
    command.environment |= {"COGNITO_USER_POOL_ID": POOL, "AUTH_JWKS_FILE": str(file)}
    file.write_bytes(jwks(Mint().key))
    assert faults(command) == []
    # As the web task has it.
    command.environment |= {"COGNITO_CLIENT_IDS": "a,b", "PUBLIC_URL": "https://a.example.com"}
    assert faults(command) == []
    file.write_bytes(document)
    (fault,) = faults(command)
    assert fault.startswith("keys: no usable key set")


def test_keys_that_cannot_be_fetched_are_a_fault(command: Command) -> None:
    command.json("tables", "create")
    closed = f"http://127.0.0.1:{free_port()}/{POOL}/.well-known/jwks.json"
    command.environment |= {"COGNITO_USER_POOL_ID": POOL, "COGNITO_JWKS_URL": closed}
    (fault,) = faults(command)
    assert fault.startswith("keys: no usable key set")


def test_a_clock_that_is_off_is_a_fault(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.json("tables", "create")
    monkeypatch.setattr(bootstrap, "redis_clock", lambda link: lambda: redis_clock(link)() + 60)
    (fault,) = faults(command)
    assert fault.startswith("clocks: the clock of redis differs by +")
    assert "could not be read" not in command.run("doctor").stdout
