"""Events of the user pool revoke the tokens that were issued until the event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from service.identity import pool_events
from service.identity.events import BadEvent
from tests.support.cognito_events import SUB, a_pool_event
from tests.unit.identity.conftest import FakeTable

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


@pytest.mark.parametrize("name", pool_events.LOST)
def test_an_event_that_takes_rights_away_revokes_earlier_tokens(
    table: FakeTable, name: str
) -> None:
    pool_events.handle(a_pool_event(eventName=name), None)
    (item,) = table.written
    assert (item["kind"]["S"], item["value"]["S"]) == ("sub", SUB)
    at = datetime.fromisoformat(item["revoked_at"]["S"])
    assert at == datetime(2026, 11, 26, 15, tzinfo=UTC)


def test_a_hidden_user_name_is_replaced_by_the_sub(table: FakeTable) -> None:
    hidden = {"userPoolId": "us-east-1_Example", "username": HIDDEN}
    event = a_pool_event(requestParameters=hidden, additionalEventData={"sub": SUB})
    pool_events.handle(event, None)
    assert table.written[0]["value"]["S"] == SUB


@pytest.mark.parametrize(
    "changes",
    [
        {"eventName": "AdminAddUserToGroup"},
        {"errorCode": "AccessDenied"},
        {"eventTime": "yesterday"},
        {"eventTime": "2026-11-26T15:00:00"},
        {"eventTime": "3000-01-01T00:00:00Z"},
        {"eventTime": "9999-12-31T23:59:59Z"},
        {"eventTime": "0001-01-01T00:00:00+14:00"},
        {"eventTime": "2000-12-31T23:59:59Z"},
        {"requestParameters": {"username": HIDDEN}},
        {"requestParameters": {"username": "rider@example.com"}},
        {"requestParameters": {"username": "Google_1"}},
        {"requestParameters": None},
        {"additionalEventData": "sub"},
    ],
)
def test_another_event_revokes_nothing(table: FakeTable, changes: dict[str, Any]) -> None:
    with pytest.raises(BadEvent):
        pool_events.handle(a_pool_event(**changes), None)
    assert table.written == []
