"""How many examples a property test draws where the default is not the right number."""

from __future__ import annotations

from hypothesis import settings

DEEPER = 10


def examples(count: int) -> int:
    """`count` in `make test`, ten times as many in `make test-deep`."""
    is_deep = settings.get_current_profile_name() == "deep"
    return DEEPER * count if is_deep else count
