"""Who may do what: every policy against every kind of caller."""

from __future__ import annotations

import pytest

from service.auth import policy
from service.auth.errors import AuthError, Forbidden, InsufficientScope
from service.auth.policy import Policy, Role, authorize, must_be_certain
from service.auth.principal import Principal, TokenKind

GROUPS = {Role.ADMIN: "ops", Role.DISPATCHER: "desk", Role.UNICORN: "horned"}
USER, MACHINE = TokenKind.USER, TokenKind.MACHINE
ALL_SCOPES = tuple(policy.SCOPES)
NAMED = {
    name: each
    for name, each in vars(policy).items()
    if isinstance(each, Policy) and not each.is_public
}


def caller(
    scopes: tuple[str, ...] = ALL_SCOPES, groups: tuple[str, ...] = (), kind: TokenKind = USER
) -> Principal:
    return Principal(
        subject="sub",
        kind=kind,
        client_id="client",
        username="name" if kind is USER else None,
        scopes=frozenset(scopes),
        groups=frozenset(groups),
        jti="jti",
        origin_jti=None,
        issued_at=0,
        auth_time=0,
        expires_at=1,
    )


def refusal(asked: Policy, principal: Principal) -> type[AuthError] | None:
    try:
        authorize(asked, principal, GROUPS)
    except AuthError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("name", "kind", "groups"),
    [
        ("RIDES_READ", USER, ((),)),
        ("RIDES_WRITE", USER, ((),)),
        ("WORKSHOP_RIDES", USER, ((),)),
        ("WORKSHOP_REQUEST", USER, ((),)),
        ("ANY_USER", USER, ((),)),
        ("FLEET_DRIVE", USER, (("horned",),)),
        ("FLEET_TELEMETRY", MACHINE, ((),)),
        ("ADMIN_READ", USER, (("ops",), ("desk",))),
        ("ADMIN_RIDES", USER, (("ops",), ("desk",))),
        ("ADMIN_WRITE", USER, (("ops",),)),
    ],
)
def test_a_policy_lets_exactly_its_callers_pass(
    name: str, kind: TokenKind, groups: tuple[tuple[str, ...], ...]
) -> None:
    asked = NAMED[name]
    for each_kind in TokenKind:
        for each in ((), ("ops",), ("desk",), ("horned",), ("Ops",), ("admin",), ("ops ",)):
            passes = each_kind is kind and (groups == ((),) or each in groups)
            expected = None if passes else Forbidden
            assert refusal(asked, caller(groups=each, kind=each_kind)) is expected


def test_every_policy_is_in_the_table() -> None:
    assert len(NAMED) == 10


@pytest.mark.parametrize("asked", NAMED.values(), ids=NAMED)
def test_scope_is_judged_before_kind_and_group(asked: Policy) -> None:
    others = tuple(policy.SCOPES.keys() - {*asked.scopes, *asked.instead})
    for kind in TokenKind:
        with pytest.raises(InsufficientScope) as refused:
            authorize(asked, caller(others, tuple(GROUPS.values()), kind), GROUPS)
        assert refused.value.scopes == asked.scopes


def test_all_of_the_scopes_are_needed() -> None:
    both = Policy(("a", "b"))
    assert refusal(both, caller(("a",))) is InsufficientScope
    assert refusal(both, caller(("a", "b", "c"))) is None


@pytest.mark.parametrize("asked", NAMED.values(), ids=NAMED)
def test_each_scope_instead_is_enough_alone(asked: Policy) -> None:
    kind, groups = asked.kind or USER, tuple(GROUPS.values())
    for scopes in (asked.scopes, *((scope,) for scope in asked.instead)):
        assert refusal(asked, caller(scopes, groups, kind)) is None


def test_anybody_may_use_what_is_public() -> None:
    assert policy.PUBLIC.is_public
    assert refusal(policy.PUBLIC, caller(())) is None


@pytest.mark.parametrize("asks", [{"roles": (Role.ADMIN,)}, {"kind": USER}, {"roles": ()}])
def test_a_policy_cannot_ask_for_something_and_be_public(asks: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must ask for a scope"):
        Policy((), **asks)  # type: ignore[arg-type]


def test_no_group_is_enough_where_no_role_is_named() -> None:
    assert refusal(Policy(("a",), roles=()), caller(("a",), ("ops",))) is Forbidden


@pytest.mark.parametrize(
    ("name", "method", "certain"),
    [
        ("RIDES_READ", "GET", False),
        ("RIDES_READ", "HEAD", False),
        ("RIDES_READ", "POST", False),
        ("RIDES_WRITE", "POST", True),
        ("FLEET_DRIVE", "GET", False),
        ("FLEET_DRIVE", "PUT", True),
        ("FLEET_TELEMETRY", "POST", True),
        ("ADMIN_READ", "GET", True),
        ("ADMIN_RIDES", "POST", True),
        ("ADMIN_WRITE", "DELETE", True),
    ],
)
def test_only_plain_reads_are_allowed_while_revocations_are_unknown(
    name: str, method: str, certain: bool
) -> None:
    assert must_be_certain(NAMED[name], method) is certain


def test_the_scope_of_the_workshops_second_page_opens_its_own_route_and_no_other() -> None:
    manager = caller(scopes=("UnicornManager/unicorn",), groups=tuple(GROUPS.values()))
    passed = [name for name, asked in NAMED.items() if refusal(asked, manager) is None]
    assert passed == ["WORKSHOP_RIDES"]
    machine = caller(scopes=("UnicornManager/unicorn",), kind=MACHINE)
    assert refusal(policy.WORKSHOP_RIDES, machine) is Forbidden
    assert refusal(policy.WORKSHOP_RIDES, caller(scopes=("openid",))) is InsufficientScope
