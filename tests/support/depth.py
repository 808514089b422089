"""The number of examples of property tests that need another number than the default."""

from __future__ import annotations

from hypothesis import settings

DEEPER = 10


def examples(count: int) -> int:
    """`count` in `make test`, ten times as many in `make test-deep`."""
    is_deep = settings.get_current_profile_name() == "deep"
    return DEEPER * count if is_deep else count
