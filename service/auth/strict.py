"""Base64url and JSON without the leniency of the standard library.

Two texts that decode to the same token, or one text that two parsers read differently, are how
deny-lists and checks are slipped past (RFC 8725, 2.4 and 3.7; RFC 7515, 10.12). So each value has
exactly one accepted spelling. Every fault is a `ValueError`.
"""

from __future__ import annotations

import json
import string
from binascii import a2b_base64
from typing import Any, Final, NoReturn

_ALPHABET: Final = (string.ascii_letters + string.digits + "-_").encode()
_INVALID: Final = b"!"
_TO_BASE64: Final = bytes(
    each if each in _ALPHABET else ord(_INVALID) for each in range(256)
).translate(bytes.maketrans(b"-_", b"+/"))
"""Maps what is not base64url, the `+`, `/` and `=` of plain base64 included, to what fails."""

_PADDING: Final = (b"", None, b"==", b"=")
_LAST: Final = (_ALPHABET, b"", b"AQgw", b"AEIMQUYcgkosw048")
"""By length modulo 4, the last characters that leave no unused bit set."""


def base64url(text: bytes) -> bytes:
    """Decode canonical, unpadded base64url (RFC 7515, 2)."""
    rest = len(text) % 4
    padding = _PADDING[rest]
    if padding is None or not text or text[-1] not in _LAST[rest]:
        raise ValueError("not canonical base64url")
    return a2b_base64(text.translate(_TO_BASE64) + padding, strict_mode=True)


def json_object(data: bytes) -> dict[str, Any]:
    """Parse one JSON object: UTF-8 without a mark, no name twice, no NaN, no lone surrogate."""
    text = data.decode()
    try:
        value = _decode(text)
        if "\\u" in text:
            # Only an escape can smuggle half a character in; nobody could store or log it.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if type(value) is not dict:
        raise ValueError("not a JSON object")
    return value


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(object_pairs_hook=_named_once, parse_constant=_no_constant).decode
