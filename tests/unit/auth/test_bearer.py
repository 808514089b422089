"""The header that holds the token, and the challenge, word for word."""

from __future__ import annotations

import pytest

from service.auth.bearer import challenge, token_from
from service.auth.errors import (
    AuthError,
    AuthUnavailable,
    Forbidden,
    InsufficientScope,
    InvalidToken,
    MalformedHeader,
    MissingToken,
)

METADATA = "https://api.example.com/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (MissingToken(), ""),
        (MalformedHeader(), ' error="invalid_request",'),
        (InvalidToken("the cause"), ' error="invalid_token",'),
        (
            InsufficientScope(("wildrydes/a", "wildrydes/b")),
            ' error="insufficient_scope", scope="wildrydes/a wildrydes/b",',
        ),
        (Forbidden("in none of the groups"), ' error="insufficient_scope",'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_challenge_has_its_parts_in_order(error: AuthError, parts: str) -> None:
    expected = f'Bearer realm="wildrydes",{parts} resource_metadata="{METADATA}"'
    assert challenge(error, METADATA) == expected


def test_nobody_is_challenged_when_no_token_could_help() -> None:
    assert challenge(AuthUnavailable(3), METADATA) is None


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (MissingToken(), 401, "missing_token"),
        (MalformedHeader(), 400, "malformed_header"),
        (InvalidToken(""), 401, "invalid_token"),
        (InsufficientScope(()), 403, "insufficient_scope"),
        (Forbidden(), 403, "forbidden"),
        (AuthUnavailable(1), 503, "auth_unavailable"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_knows_its_answer(error: AuthError, status: int, reason: str) -> None:
    assert (error.status, error.reason) == (status, reason)


def test_whitespace_around_the_value_is_not_part_of_it() -> None:
    assert token_from(" Bearer abc\t ", False) == "abc"


def test_a_query_token_beside_another_scheme_is_no_credentials() -> None:
    with pytest.raises(MissingToken):
        token_from("Basic abc", True)


def test_a_very_long_header_costs_no_more_than_a_look() -> None:
    with pytest.raises(MissingToken):
        token_from("x" * 10_000_000, False)


def test_a_token_without_a_scheme_is_read_where_it_is_accepted() -> None:
    assert token_from("abc.def-_.ghi", False, accepts_bare=True) == "abc.def-_.ghi"
    assert token_from("Bearer abc.def.ghi", False, accepts_bare=True) == "abc.def.ghi"


@pytest.mark.parametrize(
    ("authorization", "has_query_token", "error"),
    [
        (None, False, MissingToken),
        ("", False, MissingToken),
        ("abc.def", False, MissingToken),
        ("abc.def.ghi.jkl", False, MissingToken),
        ("abc.def.ghi,abc.def.ghi", False, MissingToken),
        ("abc.dé.ghi", False, MissingToken),
        ("abc.def.ghi\n", False, MissingToken),
        ("abc.def.ghi", True, MalformedHeader),
    ],
)
def test_other_headers_are_refused_there_as_elsewhere(
    authorization: str | None, has_query_token: bool, error: type[AuthError]
) -> None:
    with pytest.raises(error):
        token_from(authorization, has_query_token, accepts_bare=True)
