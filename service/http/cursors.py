"""Cursors name where the next page of a listing begins. They are opaque, and bound to one caller.

The key of a cursor's authentication code is the subject that the cursor was made for, so any
process can check it without a shared secret. The code is no access control: each
route lists only what its caller may see, whatever the cursor says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from service.http.context import caller
from service.http.problems import invalid
from service.http.responses import encode
from service.http.route import ID_PATTERN
from service.model import Page
from service.strict import base64url

Item = TypeVar("Item")

_CODE_BYTES: Final = 16
_is_id: Final = re.compile(ID_PATTERN).fullmatch
_is_key: Final = re.compile(r"[\x21-\x7e]{1,160}").fullmatch
_looks_like_instant: Final = re.compile(r"2[0-9]{3}-[0-9T:.-]{18}Z").fullmatch


def _is_instant(text: str) -> bool:
    """Whether the text is an instant from 2000 to 2999, so that no date arithmetic overflows."""
    return bool(_looks_like_instant(text) and datetime.fromisoformat(text))


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing with cursors: its name (at most 16 bytes) and the form of each part of a key."""

    name: bytes
    key: Mapping[str, Callable[[str], object]]


RIDES: Final = Listing(b"rides cursor", {"ride_id": _is_id, "requested_at": _is_instant})
DRIVEN_RIDES: Final = Listing(b"driven rides", RIDES.key)
ALL_RIDES: Final = Listing(b"all rides cursor", RIDES.key)
UNICORNS: Final = Listing(b"unicorns cursor", {"unicorn_id": _is_key})
DEAD_LETTERS: Final = Listing(
    b"dead letters", {"operation_id": _is_id, "set_aside_at": _is_instant}
)
AUDIT: Final = Listing(b"audit", DEAD_LETTERS.key)


def read_page(
    listing: Listing, cursor: str | None, read: Callable[..., Page[Item]]
) -> tuple[Sequence[Item], str | None]:
    """The items at a cursor of the caller, and the cursor of the next page.

    `read` gets the key in the cursor as `start`. Raises a 422 problem, and what `read` raises.
    """
    subject = caller().subject
    page = read(start=key_of(cursor, subject, listing))
    return page.items, cursor_of(page.next_key, subject, listing)


def cursor_of(key: Mapping[str, str] | None, subject: str, listing: Listing) -> str | None:
    """The cursor that continues at `key`, for this subject only."""
    if key is None:
        return None
    payload = encode(key).encode()
    return base64.urlsafe_b64encode(_code(payload, subject, listing) + payload).decode().rstrip("=")


def key_of(cursor: str | None, subject: str, listing: Listing) -> Mapping[str, str] | None:
    """The key inside a cursor made for this subject; anything else is 422 `invalid_cursor`."""
    if cursor is None:
        return None
    try:
        raw = base64url(cursor.encode())
    except ValueError:
        raise _refused() from None
    code, payload = raw[:_CODE_BYTES], raw[_CODE_BYTES:]
    if not hmac.compare_digest(code, _code(payload, subject, listing)):
        raise _refused()
    return _key_in(payload, listing)


def _key_in(payload: bytes, listing: Listing) -> Mapping[str, str]:
    """The key in the payload. Its form is checked, because a reader of this code can forge it."""
    try:
        key = json.loads(payload)
        if key.keys() == listing.key.keys() and all(
            has_form(key[name]) for name, has_form in listing.key.items()
        ):
            return dict(key)
    except (ValueError, AttributeError, TypeError):
        pass
    raise _refused()


def _code(payload: bytes, subject: str, listing: Listing) -> bytes:
    key = hashlib.blake2b(subject.encode(), person=listing.name).digest()
    return hashlib.blake2b(payload, key=key, digest_size=_CODE_BYTES).digest()


def _refused() -> Exception:
    return invalid("cursor", "is not a cursor this listing gave you", "invalid_cursor")
