"""Who may do what: every admin route with each kind of caller, in one table."""

from __future__ import annotations

from typing import Any

import pytest

from service.auth.principal import TokenKind
from service.core.dead_letters import set_aside_ride
from service.matching.zones import zone_of
from tests.support import api as helpers
from tests.support.api import Api, a_principal, build_api
from tests.support.builders import (
    BATTERY_PARK,
    NOW,
    a_ride,
    a_unicorn,
)

ZONE = zone_of(BATTERY_PARK)
NEW = {"name": "Shadowfax", "color": "White", "gender": "Male"}
ANY = {"If-Match": "*"}

READS = [
    ("GET", "/unicorns", None),
    ("GET", "/unicorns/u1", None),
    ("GET", "/rides", None),
    ("GET", "/rides/ride-1", None),
    ("GET", "/workers", None),
    ("GET", "/queues", None),
    ("GET", "/dead-letters", None),
    ("GET", "/dispatch", None),
]
RIDE_WRITES = [
    ("POST", "/rides/ride-1/cancel", {"reason": "duplicate"}),
    ("POST", "/rides/ride-2/reassign", {}),
]
WRITES = [
    ("POST", "/unicorns", NEW),
    ("PATCH", "/unicorns/u1", {"accepting": True}),
    ("DELETE", "/unicorns/u1", None),
    ("POST", "/dead-letters/ride-ride-3/replay", {}),
    ("POST", "/revocations", {"sub": "rider-1"}),
    ("PUT", "/dispatch", {"paused": True, "zone": ZONE}),
]
GOOD = {"GET": 200, "POST": 200, "PATCH": 200, "PUT": 200, "DELETE": 204}
SPECIAL = {"/unicorns": 201, "/dead-letters/ride-ride-3/replay": 202, "/revocations": 204}

PRINCIPALS = {
    "dispatcher": a_principal("dispatcher-1", groups=frozenset({"dispatcher"})),
    "machine": a_principal("m-1", kind=TokenKind.MACHINE, groups=frozenset({"admin"})),
    "scopeless": a_principal("admin-2", groups=frozenset({"admin"}), scopes=frozenset()),
}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """A service with something for each route to work on."""
    for name, principal in PRINCIPALS.items():
        monkeypatch.setitem(helpers.PRINCIPALS, name, principal)
    api = build_api()
    rides = [a_ride(ride_id=f"ride-{number}") for number in (1, 2, 3)]
    unicorn = a_unicorn()
    api.ports.unicorns.create(unicorn)
    for ride in rides:
        api.ports.rides.create(ride)
    set_aside_ride(api.ports, rides[2], "test", NOW)
    return api


def call(api: Api, route: tuple[str, str, Any], token: str | None) -> Any:
    method, path, body = route
    return api.call(method, f"/v1/admin{path}", body, token=token, headers=ANY)


def expected(route: tuple[str, str, Any]) -> int:
    method, path, _ = route
    if path.endswith("/reassign"):
        # Allowed, and then refused as the ride has no unicorn to lose.
        return 409
    return SPECIAL.get(path, GOOD[method]) if method != "GET" else 200


@pytest.mark.parametrize("route", [*READS, *RIDE_WRITES, *WRITES])
def test_an_admin_may_do_everything(api: Api, route: tuple[str, str, Any]) -> None:
    assert call(api, route, "admin").status_code == expected(route)


@pytest.mark.parametrize("route", [*READS, *RIDE_WRITES])
def test_a_dispatcher_sees_everything_and_looks_after_rides(
    api: Api, route: tuple[str, str, Any]
) -> None:
    assert call(api, route, "dispatcher").status_code == expected(route)


@pytest.mark.parametrize("route", WRITES)
def test_a_dispatcher_changes_nothing_else(api: Api, route: tuple[str, str, Any]) -> None:
    assert_refused(api, route, "dispatcher", 403, "forbidden")


@pytest.mark.parametrize("route", [*READS, *RIDE_WRITES, *WRITES])
@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [
        ("rider", 403, "forbidden"),
        ("driver", 403, "forbidden"),
        ("machine", 403, "forbidden"),
        ("scopeless", 403, "insufficient_scope"),
        ("forged", 401, "invalid_token"),
        (None, 401, "missing_token"),
    ],
)
def test_nobody_else_gets_in(
    api: Api, route: tuple[str, str, Any], token: str | None, status: int, reason: str
) -> None:
    assert_refused(api, route, token, status, reason)


def test_the_table_has_every_admin_route(api: Api) -> None:
    declared = {
        (method, rule.rule.removeprefix("/v1/admin"))
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith("/v1/admin/")
        for method in (rule.methods or set()) - {"HEAD"}
    }
    known = {
        (method, path.replace("u1", "<unicorn_id>").replace("ride-ride-3", "<dead_letter_id>"))
        for method, path, _ in [*READS, *RIDE_WRITES, *WRITES]
    }
    known = {
        (method, path.replace("ride-1", "<ride_id>").replace("ride-2", "<ride_id>"))
        for method, path in known
    }
    assert declared == known


def assert_refused(
    api: Api, route: tuple[str, str, Any], token: str | None, status: int, reason: str
) -> None:
    before = snapshot(api)
    answer = call(api, route, token)
    assert (answer.status_code, answer.json["reason"]) == (status, reason)
    assert snapshot(api) == before


def snapshot(api: Api) -> Any:
    ports: Any = api.ports
    return (
        ports.rides.all(),
        ports.unicorns.all(),
        ports.pauses.current(),
        ports.dead_letters.get("ride-ride-3"),
    )
