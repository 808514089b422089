"""Revoked tokens, sessions and subjects; a store that is slow to tell, or gone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.auth import policy
from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.principal import Principal, TokenKind
from service.auth.revocation import (
    FRESH_SECONDS,
    PAUSE_SECONDS,
    RevocationCheck,
    RevocationSet,
    is_revoked,
)
from service.model.errors import Unavailable
from tests.unit.auth.conftest import Watch

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SIGNED_IN = NOW - timedelta(hours=2)
ISSUED = NOW - timedelta(minutes=5)
USER = Principal(
    subject="rider",
    kind=TokenKind.USER,
    client_id="client",
    username="rider",
    scopes=frozenset(policy.SCOPES),
    groups=frozenset(),
    jti="token",
    origin_jti="session",
    issued_at=int(ISSUED.timestamp()),
    auth_time=int(SIGNED_IN.timestamp()),
    expires_at=int(NOW.timestamp()) + 3300,
)
MACHINE = replace(USER, subject="client", kind=TokenKind.MACHINE, username=None, origin_jti=None)
SECOND = timedelta(seconds=1)


class Store:
    """Revocations in a dictionary, and a switch."""

    def __init__(self) -> None:
        self.revoked: dict[tuple[str, str], datetime] = {}
        self.is_down = False
        self.asked: list[Mapping[str, str]] = []

    def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
        self.asked.append(identifiers)
        if self.is_down:
            raise Unavailable("both stores are gone")
        found = {kind: self.revoked.get((kind, value)) for kind, value in identifiers.items()}
        return {kind: since for kind, since in found.items() if since}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def revocations(store: Store, watch: Watch) -> RevocationCheck:
    return RevocationCheck(store, monotonic=watch)


def read(revocations: RevocationCheck, principal: Principal = USER) -> None:
    revocations.check(principal, policy.RIDES_READ, "GET", NOW)


def write(revocations: RevocationCheck, principal: Principal = USER) -> None:
    revocations.check(principal, policy.RIDES_WRITE, "POST", NOW)


@pytest.mark.parametrize("kind", ["jti", "origin_jti"])
def test_a_revoked_token_or_session_is_refused_whenever_it_began(kind: str) -> None:
    assert is_revoked(USER, {kind: NOW - timedelta(days=20)})
    assert is_revoked(MACHINE, {kind: NOW + timedelta(days=20)})


def test_revoking_a_subject_refuses_sign_ins_up_to_that_instant() -> None:
    assert is_revoked(USER, {"sub": SIGNED_IN})
    assert is_revoked(USER, {"sub": SIGNED_IN + SECOND})
    assert not is_revoked(USER, {"sub": SIGNED_IN - SECOND})


def test_refreshing_a_token_does_not_undo_the_revocation_of_its_subject() -> None:
    refreshed = replace(USER, issued_at=int(NOW.timestamp()))
    assert is_revoked(refreshed, {"sub": NOW - SECOND})


def test_an_issuer_that_renews_the_sign_in_does_not_undo_the_revocation_of_a_subject() -> None:
    renewed = replace(USER, auth_time=int(NOW.timestamp()))
    assert is_revoked(renewed, {"sub": ISSUED})
    assert not is_revoked(renewed, {"sub": ISSUED - SECOND})


def test_revoking_a_machine_refuses_what_was_issued_up_to_that_instant() -> None:
    assert is_revoked(MACHINE, {"sub": ISSUED})
    assert not is_revoked(MACHINE, {"sub": ISSUED - SECOND})


def test_a_principal_without_revoked_marks_is_not_revoked() -> None:
    assert not is_revoked(USER, {})


def test_the_store_looks_up_each_mark_of_the_token(
    revocations: RevocationCheck, store: Store
) -> None:
    read(revocations)
    read(revocations, MACHINE)
    assert store.asked == [
        {"jti": "token", "sub": "rider", "origin_jti": "session"},
        {"jti": "token", "sub": "client"},
    ]


def test_an_answer_is_believed_for_three_seconds(
    revocations: RevocationCheck, store: Store, watch: Watch
) -> None:
    read(revocations)
    store.revoked["jti", "token"] = NOW
    watch.seconds += FRESH_SECONDS - 0.01
    read(revocations)
    assert len(store.asked) == 1
    watch.seconds += 0.01
    with pytest.raises(InvalidToken):
        read(revocations)


def test_a_revocation_is_remembered_for_good_even_without_the_store(
    revocations: RevocationCheck, store: Store, watch: Watch
) -> None:
    store.revoked["sub", "rider"] = NOW
    with pytest.raises(InvalidToken):
        read(revocations)
    store.is_down = True
    watch.seconds += 3600
    with pytest.raises(InvalidToken):
        read(revocations)
    assert len(store.asked) == 1


def test_the_process_that_revokes_sees_it_at_once(
    revocations: RevocationCheck, store: Store
) -> None:
    read(revocations)
    store.revoked["origin_jti", "session"] = NOW
    revocations.forget()
    with pytest.raises(InvalidToken):
        read(revocations)


def test_an_answer_overtaken_by_a_revocation_is_not_remembered(watch: Watch) -> None:
    class Slow(Store):
        def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
            answer = super().lookup(identifiers, now)
            if len(self.asked) == 1:
                self.revoked["jti", "token"] = NOW
                revocations.forget()
            return answer

    revocations = RevocationCheck(Slow(), monotonic=watch)
    read(revocations)
    with pytest.raises(InvalidToken):
        read(revocations)


def test_without_the_store_reads_go_on_and_writes_wait(
    revocations: RevocationCheck, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_down = True
    with caplog.at_level(logging.WARNING):
        read(revocations)
    assert "revocations unknown" in caplog.text
    with pytest.raises(AuthUnavailable):
        write(revocations)
    with pytest.raises(AuthUnavailable):
        revocations.check(USER, policy.ADMIN_READ, "GET", NOW)


def test_a_store_that_failed_is_left_alone_for_a_second(
    revocations: RevocationCheck, store: Store, watch: Watch
) -> None:
    store.is_down = True
    for _ in range(5):
        read(revocations)
    assert len(store.asked) == 1
    store.is_down = False
    watch.seconds += PAUSE_SECONDS
    write(revocations)
    assert len(store.asked) == 2


def test_an_answer_that_went_stale_counts_for_nothing_without_the_store(
    revocations: RevocationCheck, store: Store, watch: Watch
) -> None:
    write(revocations)
    store.is_down = True
    watch.seconds += FRESH_SECONDS
    with pytest.raises(AuthUnavailable):
        write(revocations)


def test_the_memory_of_answers_is_bounded(revocations: RevocationCheck, store: Store) -> None:
    for number in range(10_001):
        read(revocations, replace(USER, jti=f"token-{number}"))
    read(revocations, replace(USER, jti="token-0"))
    assert len(store.asked) == 10_002


def test_a_waiting_request_is_judged_again_by_time_and_by_revocations(
    revocations: RevocationCheck, store: Store
) -> None:
    def check_again(now: datetime) -> None:
        revocations.check_again(USER, policy.RIDES_READ, now)

    check_again(NOW)
    with pytest.raises(InvalidToken, match="expired"):
        check_again(datetime.fromtimestamp(USER.expires_at, UTC))
    store.revoked["origin_jti", "session"] = NOW
    revocations.forget()
    with pytest.raises(InvalidToken, match="revoked"):
        check_again(NOW)


def test_a_process_with_the_whole_set_looks_nothing_up(store: Store, watch: Watch) -> None:
    known = [RevocationSet({("sub", "other"): NOW}).believed_until(watch.seconds + 4)]
    check = RevocationCheck(store, lambda: known[0], watch)
    write(check)
    for identifier in (("jti", "token"), ("origin_jti", "session"), ("sub", "rider")):
        known[0] = RevocationSet().believed_until(watch.seconds + 4).with_more({identifier: NOW})
        with pytest.raises(InvalidToken):
            read(check)
    assert store.asked == []


def test_without_the_whole_set_each_token_is_looked_up_and_what_is_known_is_refused(
    store: Store, watch: Watch
) -> None:
    known = RevocationSet({("sub", "other"): NOW})
    write(RevocationCheck(store, lambda: known, watch))
    assert len(store.asked) == 1
    known = RevocationSet({("sub", "rider"): NOW})
    with pytest.raises(InvalidToken):
        read(RevocationCheck(store, lambda: known, watch))


def test_a_set_that_could_not_be_read_for_too_long_still_refuses_and_lets_only_reads_pass(
    store: Store, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    known = RevocationSet().with_more({("sub", "rider"): NOW}).believed_until(watch.seconds)
    check = RevocationCheck(store, lambda: known, watch)
    with pytest.raises(InvalidToken):
        read(check)
    with caplog.at_level(logging.WARNING):
        read(check, MACHINE)
    assert caplog.messages == ["revocations unknown"]
    with pytest.raises(AuthUnavailable):
        write(check, MACHINE)
    assert store.asked == []


def test_an_answer_that_took_long_is_not_believed_beyond_its_request(watch: Watch) -> None:
    class Slow(Store):
        def lookup(self, identifiers: Mapping[str, str], now: datetime) -> Mapping[str, datetime]:
            watch.seconds += 2.5
            return super().lookup(identifiers, now)

    store = Slow()
    check = RevocationCheck(store, monotonic=watch)
    read(check)
    read(check)
    assert len(store.asked) == 2
