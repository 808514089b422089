"""The IAM roles that may call, and the scopes of each."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from service.auth.errors import InvalidToken
from service.auth.policy import SCOPES

_NAME: Final = "([A-Za-z0-9_+=,.@-]{1,64})"
_ROLE: Final = re.compile(rf"arn:(aws[a-z-]*):iam::([0-9]{{12}}):role/(?:[\x21-\x7e]*/)?{_NAME}")
_ASSUMED_ROLE: Final = re.compile(
    rf"arn:(aws[a-z-]*):sts::([0-9]{{12}}):assumed-role/{_NAME}/[A-Za-z0-9_+=,.@-]+"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, and the scopes and groups that its sessions have."""

    role_arn: str
    scopes: frozenset[str]
    groups: frozenset[str] = frozenset()


class RoleGrants:
    """The scopes of each IAM role, compared exactly and without wildcards.

    `scopes_by_arn` maps the ARN of a role to its scopes. `groups_by_arn` maps the ARN of a role to
    its groups and may have fewer roles. Raises `ValueError` for an ARN that is not a role's, for
    two ARNs of the same role, for unknown or no scopes, and for groups of a role without scopes.
    """

    def __init__(
        self,
        scopes_by_arn: Mapping[str, Collection[str]],
        groups_by_arn: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        groups = groups_by_arn or {}
        if not groups.keys() <= scopes_by_arn.keys():
            raise ValueError("a role has groups but no scopes")
        self._by_role = {
            _name_of(arn): Grant(arn, _checked(arn, scopes), frozenset(groups.get(arn, ())))
            for arn, scopes in scopes_by_arn.items()
        }
        if len(self._by_role) != len(scopes_by_arn):
            raise ValueError("two ARNs name the same role")

    def overlaps(self, other: RoleGrants) -> bool:
        """Whether both have a grant for the same role."""
        return not self._by_role.keys().isdisjoint(other._by_role)

    def of(self, caller_arn: str) -> Grant:
        """The grant of the role whose session has this ARN, as STS or our gateway names it.

        Raises `InvalidToken` if the role may not call.
        """
        parts = _ASSUMED_ROLE.fullmatch(caller_arn)
        grant = self._by_role.get(parts.groups()) if parts else None
        if grant is None:
            raise InvalidToken("not a role that may call")
        return grant


def _name_of(arn: str) -> tuple[str, ...]:
    """A role as the ARNs of its sessions name it: partition, account and name, without its path."""
    parts = _ROLE.fullmatch(arn)
    if parts is None:
        raise ValueError(f"{arn!r} is not the ARN of an IAM role")
    return parts.groups()


def _checked(arn: str, scopes: Collection[str]) -> frozenset[str]:
    if not scopes or not SCOPES.keys() >= set(scopes):
        raise ValueError(f"{arn} needs scopes out of {', '.join(sorted(SCOPES))}")
    return frozenset(scopes)
