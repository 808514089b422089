"""What each route requires of its caller, as plain data, and the function that applies it.

The same declaration is used by the guard, the challenge and `security` in the OpenAPI document.
Scopes and groups are compared exactly: no case folding, no wildcards, no prefixes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from service.auth.errors import Forbidden, InsufficientScope
from service.auth.principal import Principal, TokenKind


class Role(StrEnum):
    """A role of callers; the settings name the user pool's group for each role."""

    ADMIN = "admin"
    DISPATCHER = "dispatcher"
    UNICORN = "unicorn"


@dataclass(frozen=True, slots=True)
class Policy:
    """A caller needs all of `scopes`, one of `roles` (if any are given) and a token of `kind`.

    `instead`: scopes each of which is enough in place of all of `scopes`. `bare_tokens`: a token
    without a scheme is accepted too. `id_tokens`: an ID token is accepted too, if the setting
    `WORKSHOP_ID_TOKENS` is on.
    """

    scopes: tuple[str, ...]
    roles: tuple[Role, ...] | None = None
    kind: TokenKind | None = None
    instead: tuple[str, ...] = ()
    bare_tokens: bool = False
    id_tokens: bool = False

    def __post_init__(self) -> None:
        if not self.scopes and (self.roles is not None or self.kind is not None):
            raise ValueError("a policy that asks for anything must ask for a scope")

    @property
    def is_public(self) -> bool:
        return not self.scopes

    @property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """Sets of scopes. A caller needs all scopes of one of these sets."""
        return (self.scopes, *((scope,) for scope in self.instead))


RIDES_READ_SCOPE: Final = "wildrydes/rides.read"
RIDES_WRITE_SCOPE: Final = "wildrydes/rides.write"
FLEET_DRIVE_SCOPE: Final = "wildrydes/fleet.drive"
FLEET_TELEMETRY_SCOPE: Final = "wildrydes/fleet.telemetry"
ADMIN_SCOPE: Final = "wildrydes/admin"
SCOPES: Final[Mapping[str, str]] = {
    RIDES_READ_SCOPE: "Read one's own rides, estimates and the unicorns nearby.",
    RIDES_WRITE_SCOPE: "Request, cancel and rate one's own rides.",
    FLEET_DRIVE_SCOPE: "Act as one's own unicorn.",
    FLEET_TELEMETRY_SCOPE: "Report the positions of many unicorns.",
    ADMIN_SCOPE: "Call the staff's routes that the caller's group allows.",
}
"""What each scope of the resource server `wildrydes` allows."""

UNICORN_MANAGER_SCOPE: Final = "UnicornManager/unicorn"
"""The scope of the workshop's second page, which has a resource server of its own."""

_ANY_STAFF: Final = (Role.ADMIN, Role.DISPATCHER)

PUBLIC: Final = Policy(())
RIDES_READ: Final = Policy((RIDES_READ_SCOPE,), kind=TokenKind.USER)
ANY_USER: Final = replace(RIDES_READ, instead=(FLEET_DRIVE_SCOPE, ADMIN_SCOPE))
RIDES_WRITE: Final = Policy((RIDES_WRITE_SCOPE,), kind=TokenKind.USER)
WORKSHOP_RIDES: Final = replace(RIDES_READ, instead=(UNICORN_MANAGER_SCOPE,), bare_tokens=True)
WORKSHOP_REQUEST: Final = replace(RIDES_WRITE, bare_tokens=True, id_tokens=True)
FLEET_DRIVE: Final = Policy((FLEET_DRIVE_SCOPE,), (Role.UNICORN,), TokenKind.USER)
FLEET_TELEMETRY: Final = Policy((FLEET_TELEMETRY_SCOPE,), kind=TokenKind.MACHINE)
ADMIN_READ: Final = Policy((ADMIN_SCOPE,), _ANY_STAFF, TokenKind.USER)
ADMIN_WRITE: Final = Policy((ADMIN_SCOPE,), (Role.ADMIN,), TokenKind.USER)
ADMIN_RIDES: Final = Policy((ADMIN_SCOPE,), _ANY_STAFF, TokenKind.USER)
"""For cancelling and reassigning rides, which dispatchers may do as well as admins."""


def authorize(policy: Policy, principal: Principal, role_groups: Mapping[Role, str]) -> None:
    """Let the principal pass, or raise `InsufficientScope`, then `Forbidden`.

    The scope is judged first, so that a caller without it does not learn which roles are allowed.
    """
    if not any(principal.scopes.issuperset(each) for each in policy.alternatives):
        raise InsufficientScope(policy.scopes)
    if policy.kind is not None and principal.kind is not policy.kind:
        raise Forbidden(f"a {principal.kind} token")
    if policy.roles is not None:
        groups = [role_groups[role] for role in policy.roles]
        if principal.groups.isdisjoint(groups):
            raise Forbidden("in none of the groups")


def must_be_certain(policy: Policy, method: str) -> bool:
    """Whether a request is refused while it is unknown if its token has been revoked.

    True for every staff route and every write, False for other reads. A route that requires only
    the scope for reading rides is a read too: estimates are a `POST` that changes nothing, and a
    sign-out must not fail while it is unknown what is revoked.
    """
    reads = method in {"GET", "HEAD"} or policy.scopes == (RIDES_READ_SCOPE,)
    return ADMIN_SCOPE in policy.scopes or not reads
