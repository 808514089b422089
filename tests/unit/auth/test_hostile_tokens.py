"""The hostile-token table against header parsing, verifier and policies, without HTTP."""

from __future__ import annotations

import time

import pytest

from service.auth.bearer import challenge, token_from
from service.auth.errors import AuthError, InvalidToken
from service.auth.policy import Role, authorize
from service.auth.verifier import TokenVerifier
from tests.support.hostile_case import Case
from tests.support.hostile_tokens import CASES
from tests.support.token_mint import Mint

ROLE_GROUPS = {Role.ADMIN: "admin", Role.DISPATCHER: "dispatcher", Role.UNICORN: "unicorns"}


def answer(case: Case, mint: Mint, verifier: TokenVerifier) -> AuthError | None:
    header = case.build(mint)
    try:
        token = token_from(header, case.has_query_token)
        authorize(case.policy, verifier.verify(token, time.time()), ROLE_GROUPS)
    except AuthError as error:
        return error
    return None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_row_of_the_table_gets_its_answer(
    case: Case, mint: Mint, verifier: TokenVerifier
) -> None:
    error = answer(case, mint, verifier)
    got = (error.status, error.reason) if error else (200, "")
    assert got == (case.status, case.reason), error


@pytest.mark.parametrize("case", [each for each in CASES if each.status != 200], ids=str)
def test_the_challenge_of_a_refusal_tells_nothing_of_token_or_group(
    case: Case, mint: Mint, verifier: TokenVerifier
) -> None:
    error = answer(case, mint, verifier)
    assert error is not None
    text = challenge(error, "https://api.example.com/meta") or ""
    assert text.isascii()
    assert "admin" not in text.replace("wildrydes/admin", "")
    assert len(text) < 200


def test_every_bad_token_gets_the_same_challenge(mint: Mint, verifier: TokenVerifier) -> None:
    errors = [answer(case, mint, verifier) for case in CASES if case.reason == "invalid_token"]
    challenges = {challenge(error, "https://api.example.com/meta") for error in errors if error}
    assert all(isinstance(error, InvalidToken) for error in errors)
    assert challenges == {
        'Bearer realm="wildrydes", error="invalid_token",'
        ' resource_metadata="https://api.example.com/meta"'
    }


def test_the_table_has_every_row_a_header_can_tell() -> None:
    by_the_server_or_the_views = {11, 13, 15, 16}
    assert {case.row for case in CASES} | by_the_server_or_the_views == set(range(1, 93))
