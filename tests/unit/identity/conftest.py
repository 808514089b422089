"""Fakes of the AWS services that the triggers call."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from service.identity import (
    challenge,
    pool_events,
    post_confirmation,
    pre_sign_up,
    pre_token_generation,
)
from service.identity import user_migration as migration


class FakeAws:
    """Answers what the triggers ask of AWS, and remembers what they changed."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        """Users' names by address."""
        self.client_scopes = ["openid", "wildrydes/rides.read", "wildrydes/rides.write"]
        self.filters: list[str] = []
        self.groups: list[tuple[str, str]] = []
        self.sent: list[dict[str, Any]] = []
        self.is_down = False

    def _called(self) -> None:
        if self.is_down:
            raise EndpointConnectionError(endpoint_url="https://cognito-idp")

    def list_users(self, *, Filter: str, **_: Any) -> Any:
        self._called()
        self.filters.append(Filter)
        address = Filter.removeprefix('email = "').removesuffix('"')
        names = [self.addresses[address]] if address in self.addresses else []
        return {"Users": [{"Username": name} for name in names]}

    def admin_add_user_to_group(self, *, Username: str, GroupName: str, **_: Any) -> None:
        self._called()
        self.groups.append((Username, GroupName))

    def describe_user_pool_client(self, **_: Any) -> Any:
        self._called()
        return {"UserPoolClient": {"AllowedOAuthScopes": self.client_scopes}}

    def send_email(self, **message: Any) -> None:
        self._called()
        self.sent.append(message)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    fake = FakeAws()
    for module in (challenge, post_confirmation, pre_sign_up, pre_token_generation):
        monkeypatch.setattr(module, "client", lambda _service: fake)
    monkeypatch.setenv("CODE_SENDER", "rides@example.com")
    pre_token_generation._scopes_of_client.cache_clear()
    migration._tries.clear()
    migration._calls.clear()
    return fake


class FakeTable:
    """Remembers what is written to the table of operations."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def transact_write_items(self, *, TransactItems: Any, **_: Any) -> None:
        self.written.append(TransactItems[0]["Put"]["Item"])


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> FakeTable:
    table = FakeTable()
    monkeypatch.setattr(pool_events, "client", lambda _service: table)
    monkeypatch.setenv("OPERATIONS_TABLE", "Operations")
    return table
