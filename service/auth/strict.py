"""Decodes base64url more strictly than the standard library.

Each value has exactly one accepted spelling: a token with a second spelling could pass a deny-list
(RFC 7515, 10.12). Every fault is a `ValueError`.
"""

from __future__ import annotations

import string
from binascii import a2b_base64
from typing import Final

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
