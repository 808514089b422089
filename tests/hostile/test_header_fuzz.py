"""Header, body and cursor code against anything: what it accepts is what its grammar says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from service.auth import bearer
from service.auth.errors import AuthError
from service.http import cursors, headers
from service.http.bodies import parse
from service.http.problems import Problem

Answer = TypeVar("Answer")

APP = Flask("fuzz")

HEADER_TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=300)
"""What a server hands on (PEP 3333): bytes as latin-1."""


def like(*fragments: str) -> st.SearchStrategy[str]:
    """Anything, and what is put together from pieces of the real thing."""
    pieces = st.lists(st.sampled_from(fragments) | HEADER_TEXT, max_size=8)
    return HEADER_TEXT | pieces.map("".join)


def outcome(read: Callable[[], Answer]) -> Answer | tuple[int, str]:
    """What is read, or status and reason of the problem."""
    try:
        return read()
    except Problem as problem:
        return problem.status, problem.reason


def reading(name: str, value: str, read: Callable[[], Answer]) -> Answer | tuple[int, str]:
    """The outcome of reading the header."""
    with APP.test_request_context(environ_overrides={name: value}):
        return outcome(read)


@given(like("wait", "=", '"', "30", "0", ",", ";", " ", "respond-async", "WAIT", "٣"))
@example("wait=" + "9" * 5000)
def test_a_wait_is_absent_or_within_bounds(value: str) -> None:
    seconds = reading("HTTP_PREFER", value, headers.preferred_wait)
    assert seconds is None or isinstance(seconds, int)
    assert seconds is None or 0 <= seconds <= headers.LONGEST_WAIT_SECONDS
    assert seconds is None or "wait" in value.lower()


@given(like("key", "-", "é", " ", "\n", "a" * 255))
def test_an_idempotency_key_is_taken_as_it_is_or_refused(value: str) -> None:
    fits = 1 <= len(value) <= 255 and all("!" <= letter <= "~" for letter in value)
    found = reading("HTTP_IDEMPOTENCY_KEY", value, headers.idempotency_key)
    assert found == (value if fits else (422, "validation_failed"))


@given(like("id", "-", "é", " ", "\r\n", "a" * 128))
def test_a_request_id_is_safe_to_repeat(value: str) -> None:
    used = reading("HTTP_X_REQUEST_ID", value, headers.given_request_id)
    assert isinstance(used, str)
    assert re.fullmatch(r"[\x21-\x7e]{1,128}", used)
    assert used == value or not re.fullmatch(r"[\x21-\x7e]{1,128}", value)


@given(like('"', "W/", "7", "*", ",", " ", "٧"), st.integers(1, 10**6))
def test_a_version_is_matched_only_by_its_own_tag(value: str, version: int) -> None:
    expected = reading("HTTP_IF_MATCH", value, headers.expected_version)
    if not callable(expected):
        # `*` among entity tags is two forms at once: refused, not guessed at.
        assert expected == (422, "validation_failed")
        assert "*" in value
        return
    names_it = f'"{version}"' in value or value.strip() == "*" or str(version) in value
    assert names_it or "*" in value or not expected(version)


@given(like('"', "W/", "7", "*", ",", " "), st.integers(1, 10**6))
def test_unchanged_is_only_said_of_a_version_that_was_named(value: str, version: int) -> None:
    unchanged = reading("HTTP_IF_NONE_MATCH", value, lambda: headers.not_modified(version))
    if isinstance(unchanged, tuple):
        assert "*" in value
        return
    assert not unchanged or str(version) in value or "*" in value


@given(like("Bearer", " ", "bearer", "a.b.c", "\t", ",", "Basic", "=", "é"), st.booleans())
def test_a_bearer_token_is_one_word(value: str, in_query: bool) -> None:
    try:
        token = bearer.token_from(value, has_query_token=in_query)
    except AuthError:
        return
    assert re.fullmatch(r"[^ \t,]+", token, re.DOTALL)
    assert value.strip(" ").endswith(token)
    assert not in_query


@given(st.binary(max_size=400) | like("{", "}", '"a"', ":", "1e400", "NaN", ",").map(str.encode))
@example(b"[" * 10_000)
@example(b'{"a":1,"a":2}')
@example(b"-" + b"9" * 5000)
def test_a_body_is_strict_json_or_a_problem(body: bytes) -> None:
    value = outcome(lambda: parse(body))
    if value != (400, "malformed_body"):
        assert json.loads(body.decode()) == value
        assert all(math.isfinite(number) for number in numbers_in(value))


@given(st.text(max_size=200) | st.binary(max_size=120).map(lambda raw: raw.hex()))
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    assert outcome(lambda: cursors.key_of(cursor, "rider-1", cursors.RIDES)) == (
        422,
        "invalid_cursor",
    )


@given(st.data())
def test_a_cursor_that_was_changed_is_refused(data: st.DataObject) -> None:
    key = {"ride_id": str(UUID(int=7)), "requested_at": "2026-11-23T02:46:28.123Z"}
    cursor = cursors.cursor_of(key, "rider-1", cursors.RIDES)
    assert cursor
    assert cursors.key_of(cursor, "rider-1", cursors.RIDES) == key
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = cursor[:place] + other + cursor[place + 1 :]
    found = outcome(lambda: cursors.key_of(changed, "rider-1", cursors.RIDES))
    # The last character carries bits that mean nothing: another one may say the same.
    says_the_same = changed == cursor or (found == key and place == len(cursor) - 1)
    assert found == (key if says_the_same else (422, "invalid_cursor"))


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers_in(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers_in(each)]
    return [value] if isinstance(value, float) else []
