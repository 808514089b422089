"""Revocations behave the same in memory and in DynamoDB; a process keeps the whole set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from service.auth import policy
from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.principal import Principal
from service.auth.revocation import RevocationCheck, RevocationStore
from service.model.errors import Unavailable
from service.settings import Settings
from service.stores import revocations as revocations_module
from service.stores.dynamodb.client import dynamodb_client
from service.stores.revocations import (
    BELIEVED_SECONDS,
    READ_EVERY_SECONDS,
    REREAD_SECONDS,
    REREAD_SECONDS_EACH,
    DynamoRevocations,
    KnownRevocations,
)
from tests.support.api import a_principal
from tests.support.builders import NOW
from tests.support.dynamodb import fresh_settings
from tests.support.fakes_oversight import FakeRevocations
from tests.support.infrastructure import CREDENTIALS, free_port, wait_until
from tests.support.racing import race

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LATER = NOW + timedelta(hours=24)
SECOND = timedelta(seconds=1)
MARKS = {"jti": "token-1", "origin_jti": "login-1", "sub": "rider-1"}


class Revocations(RevocationStore, Protocol):
    """What the guard reads and the admin route writes."""

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None: ...


def revoke(store: Revocations, kind: str, at: datetime = NOW, value: str = "") -> None:
    expires_at = at + timedelta(hours=24)
    store.put(kind, value or MARKS[kind], revoked_at=at, expires_at=expires_at)


@pytest.fixture
def stored(dynamodb: DynamoDBClient, tables: Settings) -> DynamoRevocations:
    return DynamoRevocations(dynamodb, tables.operations_table)


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoRevocations]:
    """Nobody listens where DynamoDB should be."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{free_port()}")
    client = dynamodb_client(fresh_settings())
    yield DynamoRevocations(client, "Operations", patience_seconds=0.1)
    client.close()


class Process:
    """What one process of the API knows; its clock moves by hand."""

    def __init__(self, stored: DynamoRevocations, *, most: int = 100) -> None:
        self.seconds = 1000.0
        self.announced: list[str] = []
        self.wall = NOW
        self.revocations = KnownRevocations(
            stored, self.announced.append, lambda: self.wall, most=most, monotonic=self.clock
        )
        self.check = RevocationCheck(self.revocations, self.revocations.current, self.clock)

    def clock(self) -> float:
        return self.seconds

    def admits(self, caller: Principal | None = None) -> bool:
        who = caller or a_principal(subject="rider-1")
        try:
            self.check.check(who, policy.RIDES_WRITE, "POST", NOW)
        except InvalidToken:
            return False
        return True

    def pass_time(self, seconds: float) -> None:
        """Time passes, and the background reads once more."""
        self.seconds += seconds
        self.revocations.refresh()


class Counted:
    """Counts the calls to DynamoDB by operation."""

    def __init__(self, client: DynamoDBClient) -> None:
        self.calls: list[str] = []
        self._events = client.meta.events
        self._events.register("before-call.dynamodb", self._count)

    def _count(self, model: Any, **_: object) -> None:
        self.calls.append(model.name)

    def close(self) -> None:
        self._events.unregister("before-call.dynamodb", self._count)


@pytest.fixture
def counted(dynamodb: DynamoDBClient) -> Iterator[Counted]:
    counted = Counted(dynamodb)
    yield counted
    counted.close()


@pytest.fixture(params=["fake", "dynamodb"])
def revocations(request: pytest.FixtureRequest) -> Revocations:
    if request.param == "fake":
        return FakeRevocations()
    stored: DynamoRevocations = request.getfixturevalue("stored")
    return stored


def test_only_what_is_revoked_is_found(revocations: Revocations) -> None:
    revoke(revocations, "jti")
    revoke(revocations, "sub", value="rider-9")
    assert revocations.lookup(MARKS, NOW) == {"jti": NOW}
    assert revocations.lookup(MARKS | {"jti": "login-1"}, NOW) == {}
    assert revocations.lookup({}, NOW) == {}
    assert revocations.lookup({"jti": "x" * 3000}, NOW) == {}


def test_every_mark_of_a_token_counts(revocations: Revocations) -> None:
    for kind in MARKS:
        revoke(revocations, kind)
    assert revocations.lookup(MARKS, NOW) == dict.fromkeys(MARKS, NOW)


@pytest.mark.parametrize("order", [(0, 5), (5, 0)], ids=["then later", "then earlier"])
def test_the_latest_revocation_holds(revocations: Revocations, order: tuple[int, int]) -> None:
    for seconds in order:
        revoke(revocations, "sub", NOW + seconds * SECOND)
    assert revocations.lookup(MARKS, NOW) == {"sub": NOW + 5 * SECOND}


def test_a_revocation_ends(revocations: Revocations) -> None:
    revoke(revocations, "jti")
    assert revocations.lookup(MARKS, LATER - SECOND) == {"jti": NOW}
    assert revocations.lookup(MARKS, LATER + SECOND) == {}


def test_revocations_at_the_same_time_are_all_stored_and_counted(stored: DynamoRevocations) -> None:
    race(lambda n: revoke(stored, "jti", value=f"token-{n}"), range(8))
    everything = stored.read_all(NOW, 100)
    assert everything == {("jti", f"token-{n}"): NOW for n in range(8)}
    assert stored.changes() == "8"


def test_the_whole_set_has_the_revocations_that_have_not_ended(stored: DynamoRevocations) -> None:
    assert stored.read_all(NOW, 100) == {}
    for kind in MARKS:
        revoke(stored, kind)
    assert stored.read_all(NOW, 3) == dict.fromkeys(MARKS.items(), NOW)
    assert stored.read_all(NOW, 2) is None
    assert stored.read_all(LATER + SECOND, 2) == {}


def test_the_whole_set_is_read_page_after_page(
    stored: DynamoRevocations, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations_module, "ITEMS_PER_PAGE", 2)
    for number in range(5):
        revoke(stored, "jti", value=f"token-{number}")
    counted.calls.clear()
    assert len(stored.read_all(NOW, 100) or ()) == 5
    assert counted.calls.count("Scan") >= 3


@pytest.mark.parametrize("kind", MARKS)
def test_a_revocation_counts_at_once_where_it_was_made_and_is_announced(
    stored: DynamoRevocations, kind: str
) -> None:
    process = Process(stored)
    caller = a_principal(subject="rider-1", jti="token-1", origin_jti="login-1")
    process.pass_time(0)
    assert process.admits(caller)
    revoke(process.revocations, kind)
    assert not process.admits(caller)
    assert process.announced == ["revocations"]


def test_another_process_obeys_after_its_next_read(stored: DynamoRevocations) -> None:
    here, there = Process(stored), Process(stored)
    there.pass_time(0)
    revoke(here.revocations, "sub")
    assert there.admits()
    there.pass_time(READ_EVERY_SECONDS)
    assert not there.admits()


def test_a_revocation_that_another_release_does_not_count_is_found_in_time(
    stored: DynamoRevocations, dynamodb: DynamoDBClient, tables: Settings
) -> None:
    process = Process(stored)
    process.pass_time(0)
    dynamodb.put_item(
        TableName=tables.operations_table,
        Item={
            "operation_id": {"S": "revocation#sub#rider-1"},
            "kind": {"S": "sub"},
            "value": {"S": "rider-1"},
            "revoked_at": {"S": "2026-11-26T12:00:00.000000Z"},
            "expires_at": {"N": "4000000000"},
        },
    )
    process.pass_time(REREAD_SECONDS)
    assert REREAD_SECONDS + READ_EVERY_SECONDS < 5
    assert not process.admits()


def test_a_large_set_is_read_less_often_so_that_its_cost_is_limited(
    stored: DynamoRevocations, counted: Counted
) -> None:
    for number in range(80):
        revoke(stored, "jti", value=f"token-{number}")
    process = Process(stored)
    process.pass_time(0)
    counted.calls.clear()
    process.pass_time(80 * REREAD_SECONDS_EACH - 0.1)
    assert "Scan" not in counted.calls
    process.pass_time(0.2)
    assert "Scan" in counted.calls
    assert REREAD_SECONDS_EACH == 0.05, "a read unit for twenty revocations"


def test_the_promised_five_seconds_hold_whatever_is_lost() -> None:
    assert max(READ_EVERY_SECONDS, BELIEVED_SECONDS) + READ_EVERY_SECONDS <= 5


def test_requests_ask_dynamodb_nothing_and_a_quiet_second_costs_one_read(
    stored: DynamoRevocations, counted: Counted
) -> None:
    process = Process(stored)
    process.pass_time(0)
    counted.calls.clear()
    for number in range(1000):
        assert process.admits(a_principal(subject=f"unicorn-{number}", jti=f"token-{number}"))
    assert counted.calls == []
    process.pass_time(READ_EVERY_SECONDS)
    assert counted.calls == ["GetItem"]


def test_beyond_the_limit_of_the_set_each_token_is_looked_up(
    stored: DynamoRevocations, counted: Counted
) -> None:
    process = Process(stored, most=2)
    for number in range(3):
        revoke(stored, "jti", value=f"old-{number}")
    process.pass_time(0)
    counted.calls.clear()
    assert process.admits()
    assert counted.calls == ["BatchGetItem"]
    revoke(process.revocations, "sub")
    process.check.forget()
    assert not process.admits()
    process.wall = LATER + SECOND
    process.pass_time(REREAD_SECONDS)
    counted.calls.clear()
    assert process.admits()
    assert counted.calls == []


def test_a_read_that_began_before_a_revocation_does_not_undo_it(stored: DynamoRevocations) -> None:
    process = Process(stored)

    class Slow(DynamoRevocations):
        def read_all(self, now: datetime, most: int) -> Any:
            before = super().read_all(now, most)
            if not process.announced:
                revoke(process.revocations, "sub")
            return before

    process.revocations._stored = Slow(stored._client, stored._table)
    process.pass_time(0)
    assert not process.admits()
    process.pass_time(0)
    assert not process.admits()


def test_a_revocation_that_could_not_be_announced_counts(stored: DynamoRevocations) -> None:
    def fail(_: str) -> None:
        raise Unavailable("Redis is away")

    revocations = KnownRevocations(stored, fail, lambda: NOW)
    revoke(revocations, "sub")
    assert revocations.current().of(MARKS) == {"sub": NOW}


def test_a_revocation_that_was_not_stored_does_not_count(gone: DynamoRevocations) -> None:
    process = Process(gone)
    with pytest.raises(Unavailable):
        revoke(process.revocations, "sub")
    assert process.revocations.current().of(MARKS) == {}
    assert process.announced == []


def test_without_dynamodb_reads_go_on_and_the_rest_waits(
    stored: DynamoRevocations, gone: DynamoRevocations
) -> None:
    process = Process(stored)
    process.pass_time(0)
    process.revocations._stored = gone
    with pytest.raises(Unavailable):
        process.pass_time(BELIEVED_SECONDS - 0.1)
    assert process.admits()
    process.seconds += 0.1
    caller = a_principal()
    process.check.check(caller, policy.RIDES_READ, "GET", NOW)
    for declared, method in ((policy.RIDES_WRITE, "POST"), (policy.ADMIN_READ, "GET")):
        with pytest.raises(AuthUnavailable):
            process.check.check(caller, declared, method, NOW)


def test_the_background_reads_again_and_at_once_when_hurried(
    stored: DynamoRevocations, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = KnownRevocations(stored, lambda _: None, lambda: NOW)
    there.start()
    try:
        wait_until(lambda: there.current().is_whole, "the first read")
        revoke(stored, "sub")
        there.hurry()
        wait_until(lambda: there.current().of(MARKS) == {"sub": NOW}, "the revocation")
    finally:
        there.close()
