"""Which group of the pool gives which scopes of the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from service.auth import policy

RIDERS: Final = "riders"
"""The group of everybody who signed up."""
UNICORNS: Final = "unicorns"
ADMIN: Final = "admin"
DISPATCHER: Final = "dispatcher"

SCOPES_OF: Final[Mapping[str, frozenset[str]]] = {
    RIDERS: frozenset({policy.RIDES_READ_SCOPE, policy.RIDES_WRITE_SCOPE}),
    UNICORNS: frozenset({policy.FLEET_DRIVE_SCOPE}),
    ADMIN: frozenset({policy.ADMIN_SCOPE}),
    DISPATCHER: frozenset({policy.ADMIN_SCOPE}),
}
"""The groups that the templates make. All others are none of the API's business."""

MACHINE_SCOPES: Final = frozenset({policy.FLEET_TELEMETRY_SCOPE})
"""What a program may hold: every other scope is for people."""


def scopes_of(groups: Iterable[str]) -> frozenset[str]:
    """All scopes that membership in these groups gives."""
    return frozenset().union(*(SCOPES_OF.get(group, frozenset()) for group in groups))
