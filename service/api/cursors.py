"""Cursors: where a listing goes on, opaque to clients and good only for who got it.

The authentication code is keyed by the subject the cursor was made for, so any process can check
it without shared secrets. It is not what keeps riders apart: a listing is always of the token's
own subject, so a rider who forged a cursor for himself would only skip through his own rides.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Final

from service.api.answers import encode
from service.api.problems import invalid

_CODE_BYTES: Final = 16
_PURPOSE: Final = b"rides cursor"
_IDS: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INSTANTS: Final = re.compile(r"[0-9T:.Z-]{20,30}")


def cursor_of(key: Mapping[str, str] | None, subject: str) -> str | None:
    """The cursor that continues at `key`, for this subject only."""
    if key is None:
        return None
    payload = encode(key).encode()
    return base64.urlsafe_b64encode(_code(payload, subject) + payload).decode().rstrip("=")


def key_of(cursor: str | None, subject: str) -> Mapping[str, str] | None:
    """The key inside a cursor made for this subject; anything else is 422 `invalid_cursor`."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refused() from None
    code, payload = raw[:_CODE_BYTES], raw[_CODE_BYTES:]
    if not hmac.compare_digest(code, _code(payload, subject)):
        raise _refused()
    return _key_in(payload)


def _key_in(payload: bytes) -> Mapping[str, str]:
    """The code is no secret from who reads this source, so the key is checked for its form too."""
    try:
        match json.loads(payload):
            case {"ride_id": str(ride_id), "requested_at": str(requested_at), **others} if (
                _IDS.fullmatch(ride_id) and _INSTANTS.fullmatch(requested_at) and not others
            ):
                return {"ride_id": ride_id, "requested_at": requested_at}
    except ValueError:
        pass
    raise _refused()


def _code(payload: bytes, subject: str) -> bytes:
    key = hashlib.blake2b(subject.encode(), person=_PURPOSE).digest()
    return hashlib.blake2b(payload, key=key, digest_size=_CODE_BYTES).digest()


def _refused() -> Exception:
    return invalid("cursor", "is not a cursor this listing gave you", "invalid_cursor")
