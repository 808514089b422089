"""When a local client renews its token, and when it signs in again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import urllib3

from service.local.client import Account, Client
from service.local.login import Login, LoginFailed, Tokens
from tests.support.local_server import LocalServer, QuietHandler


class Api(QuietHandler):
    """Accepts the tokens whose kind is in `allowed`."""

    allowed: tuple[str, ...] = ("signed",)

    def do_GET(self) -> None:
        kind = self.headers["Authorization"].removeprefix("Bearer ").split("-")[0]
        self.send_response(200 if kind in self.allowed else 401 if kind == "revoked" else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()


@dataclass
class ShortLived:
    """A pool whose tokens must be renewed before every call; notes the requests."""

    http: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)
    asked: list[str] = field(default_factory=list)
    first: str = "signed"
    can_refresh: bool = True

    def sign_in(self, username: str, password: str, scopes: object) -> Tokens:
        kind = self.first if not self.asked else "signed"
        return self._tokens("sign_in", kind)

    def refresh(self, refresh_token: str) -> Tokens:
        if not self.can_refresh:
            self.asked.append("refresh refused")
            raise LoginFailed("revoked")
        return self._tokens("refresh", "renewed")

    def _tokens(self, asked: str, kind: str) -> Tokens:
        self.asked.append(asked)
        return Tokens(f"{kind}-{len(self.asked)}", time.monotonic() + 30, "refresh")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setattr(Api, "allowed", Api.allowed)
    with LocalServer(Api) as server:
        yield server


def calls(api: LocalServer, pool: Any, times: int) -> list[int]:
    client = Client(api.url, cast(Login, pool), Account("rider", "password", ("openid",)))
    return [client.call("GET", "/").status for _ in range(times)]


def test_a_token_about_to_end_is_renewed_and_not_signed_in_for(api: LocalServer) -> None:
    Api.allowed = ("signed", "renewed")
    pool = ShortLived()
    assert calls(api, pool, 3) == [200, 200, 200]
    assert pool.asked == ["sign_in", "refresh", "refresh"]


def test_a_renewed_token_that_lost_its_groups_is_replaced_by_a_sign_in(api: LocalServer) -> None:
    pool = ShortLived()
    assert calls(api, pool, 3) == [200, 200, 200]
    assert pool.asked == ["sign_in", "refresh", "sign_in", "refresh", "sign_in"]


def test_a_refresh_token_that_ended_is_replaced_by_a_sign_in(api: LocalServer) -> None:
    pool = ShortLived(can_refresh=False)
    assert calls(api, pool, 2) == [200, 200]
    assert pool.asked == ["sign_in", "refresh refused", "sign_in"]


def test_a_refused_token_is_replaced_once(api: LocalServer) -> None:
    pool = ShortLived(first="revoked")
    assert calls(api, pool, 1) == [200]
    assert pool.asked == ["sign_in", "sign_in"]


def test_who_is_not_allowed_is_not_signed_in_again(api: LocalServer) -> None:
    pool = ShortLived(first="ungrouped")
    assert calls(api, pool, 1) == [403]
    assert pool.asked == ["sign_in"]
