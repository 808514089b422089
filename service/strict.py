"""Reads JSON and base64url more strictly than the standard library (RFC 8259, RFC 8725, RFC 7515).

In JSON each name must occur once and each number must be finite: a text that two parsers read
differently could pass the check of one and mean something else to the other. In base64url each
value has exactly one accepted spelling: a token with a second spelling could pass a deny-list (RFC
7515, 10.12). Every fault is a `ValueError`.
"""

from __future__ import annotations

import json
import math
import string
from binascii import a2b_base64
from collections.abc import Sequence
from typing import Any, Final, NoReturn


def read_json(data: bytes) -> object:
    """The value of a UTF-8 text without a byte-order mark. Raises `ValueError`.

    A string may hold half a character (a lone surrogate, by an escape); the caller must check that.
    """
    try:
        return _decode(data.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_json_object(data: bytes) -> dict[str, Any]:
    """As `read_json`, for an object whose strings hold no lone surrogates."""
    value = read_json(data)
    if type(value) is not dict:
        raise ValueError("not a JSON object")
    if b"\\u" in data:
        # Fails for a lone surrogate, which only an escape can bring and nothing can store or log.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _named_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_named_once, parse_float=_finite, parse_constant=_no_constant
).decode

_ALPHABET: Final = (string.ascii_letters + string.digits + "-_").encode()
_INVALID: Final = b"!"
_TO_BASE64: Final = bytes(
    each if each in _ALPHABET else ord(_INVALID) for each in range(256)
).translate(bytes.maketrans(b"-_", b"+/"))
"""Maps base64url to base64, and any other character (`+`, `/` and `=` too) to one that fails."""

_PADDING: Final = (b"", None, b"==", b"=")
_LAST: Final = (_ALPHABET, b"", b"AQgw", b"AEIMQUYcgkosw048")
"""The allowed last characters by length modulo 4: those that set no unused bit."""


def base64url(text: bytes) -> bytes:
    """Decode canonical, unpadded base64url (RFC 7515, 2). Raises `ValueError`."""
    rest = len(text) % 4
    padding = _PADDING[rest]
    if padding is None or not text or text[-1] not in _LAST[rest]:
        raise ValueError("not canonical base64url")
    return a2b_base64(text.translate(_TO_BASE64) + padding, strict_mode=True)
