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
from service.stores.dynamodb.calls import BATCH
from service.stores.dynamodb.client import dynamodb_client
from service.stores.records import instant_text
from service.stores.revocations import (
    BELIEVED_SECONDS,
    READ_EVERY_SECONDS,
    REREAD_SECONDS,
    DynamoRevocations,
    KnownRevocations,
)
from tests.support.api import a_principal
from tests.support.builders import NOW
from tests.support.dynamodb import LostAnswers, fresh_settings
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

    def scan(self) -> None:
        """The background reads a number, scans the table a second later, and then the changes."""
        for _ in range(3):
            self.pass_time(READ_EVERY_SECONDS)


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


class PreviousRelease(DynamoRevocations):
    """Counts its changes, and stores no item for them."""

    def put(self, kind: str, value: str, *, revoked_at: datetime, expires_at: datetime) -> None:
        self._put(
            {
                "operation_id": {"S": f"revocation#{kind}#{value}"},
                "kind": {"S": kind},
                "value": {"S": value},
                "revoked_at": {"S": instant_text(revoked_at)},
                "expires_at": {"N": str(int(expires_at.timestamp()))},
            }
        )
        self._updated("revocation-changes", "ADD changes :one", {":one": {"N": "1"}})


@pytest.fixture
def previous(dynamodb: DynamoDBClient, tables: Settings) -> DynamoRevocations:
    return PreviousRelease(dynamodb, tables.operations_table)


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


def test_revocations_at_the_same_time_are_all_stored_and_counted(
    stored: DynamoRevocations, dynamodb: DynamoDBClient, tables: Settings
) -> None:
    processes = [DynamoRevocations(dynamodb, tables.operations_table) for _ in range(8)]
    race(lambda n: revoke(processes[n], "jti", value=f"token-{n}"), range(8))
    everything = stored.read_all(NOW, 100)
    assert everything == {("jti", f"token-{n}"): NOW for n in range(8)}
    assert stored.last_change() == 8
    assert stored.changed(0, 8, NOW) == everything
    assert stored.changed(3, 3, NOW) == {}
    assert len(stored.changed(3, 8, NOW) or ()) == 5


def test_a_revocation_for_which_others_leave_no_number_is_given_up(
    dynamodb: DynamoDBClient, tables: Settings
) -> None:
    class Overtaken(DynamoRevocations):
        def _put_as(self, number: int, item: Any, write_id: str) -> None:
            others = DynamoRevocations(dynamodb, tables.operations_table)
            revoke(others, "jti", value=f"token-{number}")
            super()._put_as(number, item, write_id)

    overtaken = Overtaken(dynamodb, tables.operations_table, patience_seconds=0.1)
    with pytest.raises(Unavailable):
        revoke(overtaken, "sub")
    assert overtaken.lookup({"sub": "rider-1"}, NOW) == {}


def test_a_change_that_has_no_item_is_not_passed_over(
    stored: DynamoRevocations, previous: DynamoRevocations, counted: Counted
) -> None:
    revoke(stored, "jti")
    revoke(previous, "sub")
    revoke(stored, "origin_jti")
    assert stored.last_change() == 3
    assert stored.changed(0, 1, NOW) == {("jti", "token-1"): NOW}
    assert stored.changed(2, 3, NOW) == {("origin_jti", "login-1"): NOW}
    assert stored.changed(0, 3, NOW) is None
    assert stored.changed(4, 3, NOW) is None, "a table that was restored"
    counted.calls.clear()
    assert stored.changed(0, BATCH, NOW) is None
    assert counted.calls == ["BatchGetItem"]
    assert stored.changed(0, BATCH + 1, NOW) is None
    assert counted.calls == ["BatchGetItem"], "more than one call returns"


def test_a_revocation_that_changes_nothing_is_not_counted(stored: DynamoRevocations) -> None:
    for seconds in (5, 0, 5, 6):
        revoke(stored, "sub", NOW + seconds * SECOND)
    assert stored.last_change() == 2
    assert stored.changed(0, 2, NOW) == {("sub", "rider-1"): NOW + 6 * SECOND}
    assert stored.changed(0, 2, NOW + timedelta(days=2)) == {}


def test_a_revocation_whose_answer_was_lost_is_counted_once(
    stored: DynamoRevocations, dynamodb: DynamoDBClient
) -> None:
    with LostAnswers(dynamodb, 2):
        revoke(stored, "sub")
    assert stored.changed(0, stored.last_change(), NOW) == {("sub", "rider-1"): NOW}
    assert stored.last_change() == 1


def test_a_revocation_costs_one_call_where_all_changes_are_known(
    stored: DynamoRevocations, dynamodb: DynamoDBClient, tables: Settings, counted: Counted
) -> None:
    revoke(stored, "jti")
    revoke(stored, "jti", value="token-2")
    assert counted.calls == ["TransactWriteItems"] * 2
    elsewhere = DynamoRevocations(dynamodb, tables.operations_table)
    revoke(elsewhere, "jti", value="token-3")
    assert counted.calls == ["TransactWriteItems"] * 4
    stored.last_change()
    counted.calls.clear()
    revoke(stored, "jti", value="token-4")
    assert counted.calls == ["TransactWriteItems"]
    assert stored.last_change() == 4


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
    process.scan()
    assert process.admits(caller)
    revoke(process.revocations, kind)
    assert not process.admits(caller)
    assert process.announced == ["revocations"]


def test_another_process_obeys_after_its_next_read(stored: DynamoRevocations) -> None:
    here, there = Process(stored), Process(stored)
    there.scan()
    revoke(here.revocations, "sub")
    assert there.admits()
    there.pass_time(READ_EVERY_SECONDS)
    assert not there.admits()


def test_what_a_process_reads_does_not_depend_on_what_else_the_table_holds(
    stored: DynamoRevocations, counted: Counted, dynamodb: DynamoDBClient, tables: Settings
) -> None:
    table = tables.operations_table
    for first in range(0, 3000, 25):
        photos = [{"operation_id": {"S": f"photo#{first + each}"}} for each in range(25)]
        puts: list[Any] = [{"PutRequest": {"Item": photo}} for photo in photos]
        dynamodb.batch_write_item(RequestItems={table: puts})
    process, elsewhere = Process(stored), DynamoRevocations(dynamodb, table)
    counted.calls.clear()
    process.scan()
    assert counted.calls.count("Scan") >= 3, "once, at the start"
    counted.calls.clear()
    for number in range(5):
        revoke(elsewhere, "jti", value=f"token-{number}")
        process.pass_time(READ_EVERY_SECONDS)
        assert not process.admits(a_principal(jti=f"token-{number}"))
    for _ in range(120):
        process.pass_time(READ_EVERY_SECONDS)
    assert process.admits()
    reads = [name for name in counted.calls if name != "TransactWriteItems"]
    assert reads == ["GetItem", "BatchGetItem"] * 5 + ["GetItem"] * 120


def test_a_process_scans_nothing_because_of_its_own_revocations(
    stored: DynamoRevocations, counted: Counted
) -> None:
    process = Process(stored)
    process.scan()
    counted.calls.clear()
    for kind in MARKS:
        revoke(process.revocations, kind)
        assert process.revocations.current().is_whole
        process.pass_time(READ_EVERY_SECONDS)
    assert "Scan" not in counted.calls
    assert process.revocations.current().since == dict.fromkeys(MARKS.items(), NOW)


def test_a_revocation_by_the_previous_release_before_the_start_is_obeyed(
    stored: DynamoRevocations, previous: DynamoRevocations
) -> None:
    revoke(previous, "sub")
    process = Process(stored)
    assert not process.admits(), "looked up"
    process.scan()
    assert process.revocations.current().is_whole
    assert not process.admits()


def test_a_revocation_by_the_previous_release_after_the_start_is_obeyed(
    stored: DynamoRevocations, previous: DynamoRevocations, counted: Counted
) -> None:
    process = Process(stored)
    process.scan()
    revoke(previous, "sub")
    counted.calls.clear()
    process.pass_time(READ_EVERY_SECONDS)
    assert not process.revocations.current().is_whole
    assert not process.admits(), "looked up"
    process.pass_time(READ_EVERY_SECONDS)
    process.pass_time(READ_EVERY_SECONDS)
    assert counted.calls.count("Scan") == 1
    assert process.revocations.current().is_whole
    counted.calls.clear()
    assert not process.admits()
    assert counted.calls == []


class Late(DynamoRevocations):
    """Sees the number of a change earlier than its items."""

    is_late = True

    def changed(self, after: int, until: int, now: datetime) -> Any:
        return None if self.is_late else super().changed(after, until, now)

    def read_all(self, now: datetime, most: int) -> Any:
        return {} if self.is_late else super().read_all(now, most)


@pytest.fixture
def behind(stored: DynamoRevocations) -> tuple[Process, Late]:
    """A process that has scanned the table, and its store."""
    process = Process(stored)
    process.scan()
    late = process.revocations._stored = Late(stored._client, stored._table)
    return process, late


def test_a_change_whose_item_is_not_visible_yet_is_read_a_second_later(
    stored: DynamoRevocations, behind: tuple[Process, Late], counted: Counted
) -> None:
    process, late = behind
    revoke(stored, "sub")
    counted.calls.clear()
    process.pass_time(READ_EVERY_SECONDS)
    assert not process.revocations.current().is_whole
    assert not process.admits(), "looked up"
    late.is_late = False
    process.pass_time(READ_EVERY_SECONDS)
    assert process.revocations.current().is_whole
    assert not process.admits()
    assert counted.calls == ["GetItem", "BatchGetItem", "GetItem", "BatchGetItem"]
    revoke(stored, "jti")
    late.is_late = True
    process.pass_time(READ_EVERY_SECONDS)
    late.is_late = False
    process.pass_time(READ_EVERY_SECONDS)
    assert "Scan" not in counted.calls, "each change is read twice before a scan"


def test_a_scan_that_misses_the_latest_change_is_followed_by_a_read_of_the_changes(
    stored: DynamoRevocations, behind: tuple[Process, Late]
) -> None:
    process, late = behind
    process.pass_time(READ_EVERY_SECONDS)
    revoke(stored, "sub")
    process.pass_time(READ_EVERY_SECONDS)
    assert not process.revocations.current().is_whole
    late.is_late = False
    process.pass_time(READ_EVERY_SECONDS)
    assert process.revocations.current().is_whole
    assert process.revocations.current().of(MARKS) == {"sub": NOW}


def test_while_the_table_is_scanned_each_token_is_looked_up_and_no_revocation_is_lost(
    stored: DynamoRevocations,
) -> None:
    process = Process(stored)

    class Slow(DynamoRevocations):
        def read_all(self, now: datetime, most: int) -> Any:
            before = super().read_all(now, most)
            process.seconds += 60
            revoke(process.revocations, "jti", value="own")
            revoke(stored, "jti", value="another's")
            for name in ("own", "another's"):
                assert not process.admits(a_principal(jti=name))
            assert process.admits()
            return before

    process.revocations._stored = Slow(stored._client, stored._table)
    process.scan()
    assert process.revocations.current().is_whole
    assert set(process.revocations.current().since) == {("jti", "own"), ("jti", "another's")}
    assert process.admits(), "a scan of a minute makes no token uncertain"


def test_a_scan_that_failed_is_made_again(
    stored: DynamoRevocations, gone: DynamoRevocations
) -> None:
    revoke(stored, "sub")
    process = Process(stored)
    process.pass_time(READ_EVERY_SECONDS)
    process.revocations._stored = gone
    with pytest.raises(Unavailable):
        process.pass_time(READ_EVERY_SECONDS)
    process.revocations._stored = stored
    process.scan()
    assert process.revocations.current().of(MARKS) == {"sub": NOW}


def test_what_has_expired_is_left_out_when_the_set_grows_too_large(
    stored: DynamoRevocations,
) -> None:
    process = Process(stored, most=3)
    for number in range(3):
        revoke(stored, "jti", value=f"old-{number}")
    process.scan()
    process.pass_time(READ_EVERY_SECONDS)
    assert process.revocations.current().is_whole, "as many as are kept"
    process.wall = LATER + SECOND
    revoke(stored, "jti", LATER)
    process.pass_time(READ_EVERY_SECONDS)
    process.scan()
    assert process.revocations.current().is_whole
    assert process.revocations.current().since == {("jti", "token-1"): LATER}


def test_the_promised_five_seconds_hold_whatever_is_lost() -> None:
    assert max(READ_EVERY_SECONDS, BELIEVED_SECONDS) + READ_EVERY_SECONDS <= 5


def test_requests_ask_dynamodb_nothing_and_a_quiet_second_costs_one_read(
    stored: DynamoRevocations, counted: Counted
) -> None:
    process = Process(stored)
    process.scan()
    counted.calls.clear()
    for number in range(1000):
        assert process.admits(a_principal(subject=f"unicorn-{number}", jti=f"token-{number}"))
    assert counted.calls == []
    process.pass_time(READ_EVERY_SECONDS)
    assert counted.calls == ["GetItem"]


def test_beyond_the_limit_of_the_set_each_token_is_looked_up(
    stored: DynamoRevocations, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(stored, most=2)
    for number in range(3):
        revoke(stored, "jti", value=f"old-{number}")
    process.scan()
    assert "more revocations than are kept" in caplog.messages
    counted.calls.clear()
    process.pass_time(READ_EVERY_SECONDS)
    assert counted.calls == []
    assert process.admits()
    assert counted.calls == ["BatchGetItem"]
    revoke(process.revocations, "sub")
    process.check.forget()
    assert not process.admits()
    process.wall = LATER + SECOND
    process.seconds += REREAD_SECONDS
    process.scan()
    counted.calls.clear()
    assert process.admits()
    assert counted.calls == []


def test_a_read_that_began_before_a_revocation_does_not_undo_it(stored: DynamoRevocations) -> None:
    process = Process(stored)
    process.scan()

    class Slow(DynamoRevocations):
        def last_change(self) -> int:
            before = super().last_change()
            revoke(process.revocations, "sub")
            return before

    process.revocations._stored = Slow(stored._client, stored._table)
    process.pass_time(READ_EVERY_SECONDS)
    assert not process.admits()
    process.pass_time(READ_EVERY_SECONDS)
    assert not process.admits()


def test_an_announcement_does_not_make_a_scan_come_too_soon(
    stored: DynamoRevocations, counted: Counted
) -> None:
    """The items of a change that was counted a moment ago may not be visible yet."""
    process = Process(stored)
    for seconds, has_scanned in ((0, False), (0, False), (READ_EVERY_SECONDS, True)):
        process.pass_time(seconds)
        assert ("Scan" in counted.calls) is has_scanned
        assert process.admits()


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
    process.scan()
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
