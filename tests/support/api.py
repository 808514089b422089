"""The application on fakes: every route over WSGI, no store, no network, a clock that obeys."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Flask, has_app_context
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from service.api.app import create_app
from service.auth.errors import InvalidToken
from service.auth.policy import SCOPES
from service.auth.principal import Principal, TokenKind
from service.auth.revocation import NoUserPool, RevocationCheck
from service.authority import gateway_callers_of
from service.core.city_map import SharedMap
from service.core.ports import Ports
from service.core.staff import Oversight
from service.http.context import Dependencies
from service.http.described import RESPONSE_HEADERS
from service.http.limits import limiter_of
from service.http.openapi import sent_by
from service.http.route import Route
from service.model import Ride, Unicorn
from service.settings import ApiSettings
from tests.support.builders import NOW, a_matched_pair, a_usable_unicorn
from tests.support.fakes_oversight import (
    FakeAuditLog,
    FakeQueues,
    FakeRevocations,
    FakeRideHistory,
    FakeRoster,
    FakeWorkers,
)
from tests.support.fakes_photos import FakeAccounts
from tests.support.fakes_redis import FakeCityMap, FakeStatistics
from tests.support.service import fake_ports

ORIGIN = "https://app.example.com"
SETTINGS: Mapping[str, Any] = {
    "aws_region": "us-east-1",
    "redis_url": "redis://127.0.0.1:6379/0",
    "public_url": "https://rides.example.com",
    "cognito_user_pool_id": "us-east-1_Example",
    "cognito_client_ids": "client",
    "cors_origins": f"{ORIGIN},http://[::1]:3000",
}


def a_principal(subject: str = "rider-1", **changes: Any) -> Principal:
    """A user with every scope, in the groups named."""
    fields: dict[str, Any] = {
        "subject": subject,
        "kind": TokenKind.USER,
        "client_id": "client",
        "username": subject,
        "scopes": frozenset(SCOPES),
        "groups": frozenset(),
        "jti": "jti",
        "origin_jti": None,
        "issued_at": 0,
        "auth_time": 0,
        "expires_at": 2**40,
    }
    return Principal(**fields | changes)


PRINCIPALS = {
    "rider": a_principal(),
    "other": a_principal("rider-2"),
    "driver": a_principal("driver-1", groups=frozenset({"unicorns"})),
    "machine": a_principal("gateway", kind=TokenKind.MACHINE, username=None),
    "admin": a_principal("admin-1", groups=frozenset({"admin"})),
}


class KnownTokens:
    """A verifier that knows its tokens by name, so that a test can say who is calling."""

    def verify(self, token: str, now: float) -> Principal:
        if token not in PRINCIPALS:
            raise InvalidToken("unknown")
        return PRINCIPALS[token]


@dataclass
class Api:
    """The application, what it works on, and a client that calls it."""

    app: Flask
    ports: Ports
    clock: list[datetime]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "rider",
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> TestResponse:
        """The answer, which must be one that the route declares."""
        sent = dict(headers or {})
        if token:
            sent.setdefault("Authorization", f"Bearer {token}")
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        content = {"json": body} if body is not None else {"data": data}
        answer = self.app.test_client().open(path, method=method, headers=sent, **content)
        route = self._route(method, path)
        # A call in the middle of another request shares its `g`, and so its headers.
        if route and answer.status_code < 400 and not has_app_context():
            assert answer.status_code in route.answers, f"{route.rule}: {answer.status_code}"
            undeclared = RESPONSE_HEADERS.keys() & set(answer.headers.keys()) - set(sent_by(route))
            assert undeclared == set(), f"{route.rule}: {undeclared}"
        return answer

    def _route(self, method: str, path: str) -> Route | None:
        try:
            endpoint, _ = self.app.url_map.bind("").match(path.partition("?")[0], method)
        except HTTPException:
            return None
        return getattr(self.app.view_functions[endpoint], "route", None)

    def pass_time(self, seconds: float) -> None:
        self.clock[0] += timedelta(seconds=seconds)

    def match(self, ride: Ride, **unicorn: Any) -> Ride:
        """Match a stored ride with a new unicorn, without a request."""
        free = a_usable_unicorn(**unicorn)
        self.ports.unicorns.create(free)
        return self.claim(ride, free)

    def claim(self, ride: Ride, free: Unicorn) -> Ride:
        """Match a stored ride with a stored unicorn, without a request."""
        after, busy = a_matched_pair(ride, free)
        self.ports.assignments.commit((ride, after), (free, busy))
        return after


def build_api(
    ports: Ports | None = None,
    probes: Any = None,
    *,
    revocations: Any = None,
    pool: Any = None,
    iam: Any = None,
    id_tokens: Any = None,
    verifier: Any = None,
    refused: Any = None,
    photos: Any = None,
    accounts: Any = None,
    identities: Any = None,
    **settings: Any,
) -> Api:
    """An application; every reading of its monotonic clock is a second later than the last."""
    ports = ports or fake_ports()
    clock, ticks = [NOW], itertools.count()
    api_settings = ApiSettings(**{**SETTINGS, **settings})
    city = FakeCityMap(ports.fleet, ports.waiting)  # type: ignore[arg-type]
    revocations = revocations or FakeRevocations()
    dependencies = Dependencies(
        gateway=gateway_callers_of(api_settings),
        settings=api_settings,
        ports=ports,
        oversight=Oversight(
            city=city,
            statistics=FakeStatistics(),
            history=FakeRideHistory(ports.rides),
            roster=FakeRoster(ports.unicorns),
            workers=FakeWorkers(),
            queues=FakeQueues(),
            audit=FakeAuditLog(),
        ),
        shared_map=SharedMap(city, lambda: clock[0], lambda: float(next(ticks))),
        verifier=verifier or KnownTokens(),
        revocations=revocations,
        pool=pool or NoUserPool(),
        revoked=RevocationCheck(revocations, monotonic=lambda: clock[0].timestamp()),
        limiter=limiter_of(api_settings),
        refused=refused or (lambda _: None),
        photos=photos,
        accounts=accounts or FakeAccounts(),
        identities=identities,
        iam=iam,
        id_tokens=id_tokens,
        now=lambda: clock[0],
        monotonic=lambda: float(next(ticks)),
        probes=probes or {},
    )
    return Api(create_app(dependencies), ports, clock)
