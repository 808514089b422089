"""The pool's own events revoke what was lost, from the instant they happened."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from service.identity import pool_events
from service.identity.events import BadEvent

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
SUB = "8a6f2c1e-0000-4000-8000-000000000001"


def an_event(**detail: Any) -> dict[str, Any]:
    """As EventBridge delivers a call that CloudTrail recorded."""
    return {
        "version": "0",
        "source": "aws.cognito-idp",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventSource": "cognito-idp.amazonaws.com",
            "eventName": "AdminRemoveUserFromGroup",
            "eventTime": "2026-11-26T15:00:00Z",
            "requestParameters": {
                "userPoolId": "us-east-1_Example",
                "username": SUB,
                "groupName": "admin",
            },
            "additionalEventData": {},
            **detail,
        },
    }


class Client:
    """Remembers what is written to the table of operations."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def transact_write_items(self, *, TransactItems: Any, **_: Any) -> None:
        self.written.append(TransactItems[0]["Put"]["Item"])


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr(pool_events, "client", lambda _service: client)
    monkeypatch.setenv("OPERATIONS_TABLE", "Operations")
    return client


@pytest.mark.parametrize("name", pool_events.LOST)
def test_what_takes_rights_away_revokes_the_tokens_of_before(table: Client, name: str) -> None:
    pool_events.handle(an_event(eventName=name), None)
    (item,) = table.written
    assert (item["kind"]["S"], item["value"]["S"]) == ("sub", SUB)
    at = datetime.fromisoformat(item["revoked_at"]["S"])
    assert at == datetime(2026, 11, 26, 15, tzinfo=UTC)


def test_a_hidden_user_name_is_told_by_the_sub(table: Client) -> None:
    hidden = {"userPoolId": "us-east-1_Example", "username": HIDDEN}
    event = an_event(requestParameters=hidden, additionalEventData={"sub": SUB})
    pool_events.handle(event, None)
    assert table.written[0]["value"]["S"] == SUB


@pytest.mark.parametrize(
    "changes",
    [
        {"eventName": "AdminAddUserToGroup"},
        {"errorCode": "AccessDenied"},
        {"eventTime": "yesterday"},
        {"eventTime": "2026-11-26T15:00:00"},
        {"requestParameters": {"username": HIDDEN}},
        {"requestParameters": {"username": "rider@example.com"}},
        {"requestParameters": {"username": "Google_1"}},
        {"requestParameters": None},
        {"additionalEventData": "sub"},
    ],
)
def test_another_event_revokes_nothing(table: Client, changes: dict[str, Any]) -> None:
    with pytest.raises(BadEvent):
        pool_events.handle(an_event(**changes), None)
    assert table.written == []
