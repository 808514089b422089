"""The scopes of the API that each group of the user pool gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from service.auth import policy

RIDERS: Final = "riders"
"""The group of all users who signed up."""
UNICORNS: Final = "unicorns"
ADMIN: Final = "admin"
DISPATCHER: Final = "dispatcher"

SCOPES_OF: Final[Mapping[str, frozenset[str]]] = {
    RIDERS: frozenset({policy.RIDES_READ_SCOPE, policy.RIDES_WRITE_SCOPE}),
    UNICORNS: frozenset({policy.FLEET_DRIVE_SCOPE}),
    ADMIN: frozenset({policy.ADMIN_SCOPE}),
    DISPATCHER: frozenset({policy.ADMIN_SCOPE}),
}
"""The scopes that each group of the templates gives. Any other group gives none."""

MACHINE_SCOPES: Final = frozenset({policy.FLEET_TELEMETRY_SCOPE})
"""The scopes that a program may have; all others are for people."""


def scopes_of(groups: Iterable[str]) -> frozenset[str]:
    """All scopes that these groups give."""
    return frozenset().union(*(SCOPES_OF.get(group, frozenset()) for group in groups))
