"""One spelling per value: base64url and JSON."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.strict import base64url, read_json_object
from tests.support.token_mint import base64url as encoded


@given(st.binary(min_size=1, max_size=64))
def test_what_was_encoded_decodes(data: bytes) -> None:
    assert base64url(encoded(data).encode()) == data


@given(st.binary(max_size=8) | st.text("AQgwZ-_+/=\n", max_size=8).map(str.encode))
def test_whatever_decodes_was_spelt_in_the_only_way(text: bytes) -> None:
    try:
        data = base64url(text)
    except ValueError:
        return
    assert urlsafe_b64encode(data).rstrip(b"=") == text


@pytest.mark.parametrize(
    "text", [b"", b"A", b"QR", b"QQ==", b"QQ=", b"Q+", b"Q/", b"QUI=", b"QQ\n"]
)
def test_other_spellings_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the promise
        base64url(text)


NAMES = st.text(max_size=5)
OBJECTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
)


@given(OBJECTS, st.booleans())
def test_any_json_object_is_read_as_the_standard_library_reads_it(
    value: dict[str, object], escaped: bool
) -> None:
    try:
        text = json.dumps(value, ensure_ascii=escaped, allow_nan=False).encode()
    except ValueError:
        return
    assert read_json_object(text) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"{}{}",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'[{"a":1}]',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\x00"}',
        b'{"a":"\n"}',
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":01}',
        b"{\x00}",
    ],
    ids=lambda data: repr(data[:24]),
)
def test_what_is_not_one_unambiguous_object_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the promise
        read_json_object(data)


@given(st.binary(max_size=32))
def test_no_bytes_whatever_raise_anything_else(data: bytes) -> None:
    try:
        read_json_object(data)
    except ValueError:
        return
