"""Finds characters that do harm in names, which people and log files show.

The ranges are written out, not taken from `unicodedata` or `str.isprintable`: those know only the
Unicode version of the running interpreter, so a new emoji would be refused by an older Python.
"""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""The control characters C0, DEL and C1, and the two separators that break a line."""

_DIRECTION: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Marks that change the direction of the text around them (Unicode Annex 9)."""

_INVISIBLE: Final = re.compile(
    "[\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\uffff\U000e0000-\U000e0fff]"
)
"""Zero-width and blank characters. Names need some of them: the joiners of Persian and emoji."""

_HAS_CONTROL_OR_DIRECTION: Final = re.compile(f"[{_CONTROL}{_DIRECTION}]")


def has_control_or_direction_characters(text: str) -> bool:
    """Whether the text could break a line or change the direction of the text around it."""
    # Most texts are printable ASCII, which is known without a search.
    is_plain = text.isascii() and text.isprintable()
    return not is_plain and _HAS_CONTROL_OR_DIRECTION.search(text) is not None


def is_blank(text: str) -> bool:
    """Whether the text shows nothing."""
    return not _INVISIBLE.sub("", text).strip()
