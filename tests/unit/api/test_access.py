"""Who may do what: every route of the application with every kind of caller, in one table."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from service.auth.principal import TokenKind
from service.core.dead_letters import set_aside_ride
from service.http.route import declared_routes
from tests.support import api as helpers
from tests.support.api import Api, a_principal, build_api
from tests.support.builders import NOW, a_ride, a_unicorn

PUBLIC = {
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/docs/viewer.js",
    "/",
    "/drive",
    "/console",
    "/assets/release-1/look.css",
    "/.well-known/oauth-protected-resource",
}
STAFF = {"admin", "dispatcher"}
MAY: list[tuple[str, set[str]]] = [
    (r"GET /v1/admin/.*", STAFF),
    (r"POST /v1/admin/rides/[^/]+/(cancel|reassign)", STAFF),
    (r"\w+ /v1/admin/.*", {"admin"}),
    (r"POST /v1/fleet/positions", {"machine"}),
    (r"GET /v1/fleet/advice", {"machine"}),
    (r"\w+ /v1/fleet/me.*", {"driver"}),
    (r"\w+ (/v1/(me|rides|estimates|unicorns)|/ride).*", {"rider", "driver", *STAFF}),
]
"""Who may call a route: the first line that fits counts."""

CALLERS = {
    "dispatcher": a_principal("dispatcher-1", groups=frozenset({"dispatcher"})),
    # A machine in every group: its kind alone must keep it out.
    "machine": a_principal(
        "m-1", kind=TokenKind.MACHINE, groups=frozenset({"admin", "dispatcher", "unicorns"})
    ),
    "scopeless": a_principal(
        "admin-2", groups=frozenset({"admin", "unicorns"}), scopes=frozenset({"openid"})
    ),
}
REFUSALS = {None: (401, "missing_token"), "forged": (401, "invalid_token")}
METADATA = 'resource_metadata="https://rides.example.com/.well-known/oauth-protected-resource"'
CHALLENGES = {
    "missing_token": f'Bearer realm="wildrydes", {METADATA}',
    "invalid_token": f'Bearer realm="wildrydes", error="invalid_token", {METADATA}',
    "forbidden": f'Bearer realm="wildrydes", error="insufficient_scope", {METADATA}',
    "insufficient_scope": (
        r'Bearer realm="wildrydes", error="insufficient_scope", scope="wildrydes/[\w.]+", '
        + METADATA
    ),
}
IDS = {
    "unicorn_id": "u1",
    "dead_letter_id": "ride-ride-3",
    "ride_id": "ride-1",
    "release": "release-1",
    "name": "look.css",
}
SENT = {
    "POST /v1/admin/unicorns": {"name": "Shadowfax", "color": "White", "gender": "Male"},
    "PATCH /v1/admin/unicorns/u1": {"accepting": True},
    "POST /v1/admin/revocations": {"sub": "rider-1"},
    "PUT /v1/admin/dispatch": {"paused": True},
    "POST /v1/rides": {"pickup": {"latitude": 40.7, "longitude": -74.0}},
}
"""Bodies that change something: what is refused must not."""


def every_route() -> list[str]:
    """Method and path of each rule, with an id or a step in place of parameters."""
    parameter = re.compile(r"<(?:any.(\w+),[^>]*|(?:string:)?(\w+))>")
    return [
        f"{each.method} {parameter.sub(_filled, each.rule)}"
        for each in declared_routes(build_api().app).values()
    ]


def _filled(parameter: re.Match[str]) -> str:
    return parameter[1] or IDS[parameter[2]]


def refusal(route: str, caller: str | None) -> tuple[int, str] | None:
    """Status and reason of the answer that keeps the caller out."""
    if route.partition(" ")[2] in PUBLIC:
        return None
    if caller in REFUSALS:
        return REFUSALS[caller]
    if caller == "scopeless":
        return 403, "insufficient_scope"
    allowed = next(callers for pattern, callers in MAY if re.fullmatch(pattern, route))
    return None if caller in allowed else (403, "forbidden")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """A service with something for each route to work on."""
    for name, principal in (helpers.PRINCIPALS | CALLERS).items():
        # Each with a token of its own: signing out one must not sign out the others.
        monkeypatch.setitem(helpers.PRINCIPALS, name, replace(principal, jti=name))
    api = build_api()
    for number in (1, 2, 3):
        api.ports.rides.create(a_ride(ride_id=f"ride-{number}"))
    api.ports.unicorns.create(a_unicorn(account_sub="driver-1"))
    set_aside_ride(api.ports, api.ports.dead_letters, a_ride(ride_id="ride-3"), NOW)
    return api


def stored(api: Api) -> Any:
    ports: Any = api.ports
    return (
        ports.rides.all(),
        ports.unicorns.all(),
        ports.control.current(),
        ports.dead_letters.get("ride-ride-3"),
    )


@pytest.mark.parametrize("route", every_route())
def test_a_route_lets_exactly_its_callers_in(api: Api, route: str) -> None:
    method, _, path = route.partition(" ")
    before = stored(api)
    callers = [None, "forged", "rider", "driver", "admin", *CALLERS]
    for caller in sorted(callers, key=lambda each: refusal(route, each) is None):
        answer = api.call(method, path, SENT.get(route), token=caller, headers={"If-Match": "*"})
        refused = refusal(route, caller)
        if refused is None:
            assert answer.status_code not in {401, 403, 405, 500}, caller
            continue
        assert (answer.status_code, answer.json["reason"]) == refused, caller
        assert re.fullmatch(CHALLENGES[refused[1]], answer.headers["WWW-Authenticate"]), caller
        # The answer says neither why a token is bad nor which group is allowed.
        assert not re.search(b"forged|unknown|unicorn|admin|dispatcher", answer.data), caller
        assert stored(api) == before, caller


def test_every_line_of_the_table_is_used() -> None:
    routes = [route for route in every_route() if route.partition(" ")[2] not in PUBLIC]
    used = [next(p for p, _ in MAY if re.fullmatch(p, route)) for route in routes]
    assert set(used) == {pattern for pattern, _ in MAY}
    assert len(routes) + len(PUBLIC) == len(every_route())
