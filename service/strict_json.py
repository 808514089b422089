"""Reads JSON more strictly than the standard library (RFC 8259, RFC 8725).

Each name must occur once and each number must be finite: a text that two parsers read differently
could pass the check of one and mean something else to the other.
"""

from __future__ import annotations

import json
import math
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
