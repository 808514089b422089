"""Revokes the tokens of users who lost a group or their account, on events of the user pool.

EventBridge delivers the events in CloudTrail's form:
https://docs.aws.amazon.com/cognito/latest/developerguide/understanding-amazon-cognito-entries.html
AWS promises no time limit for the delivery. The command `account` (service/command) revokes tokens
within 5 s.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from typing import Any, Final

from service.auth.claims import LONGEST_SESSION_SECONDS
from service.identity.aws import client
from service.identity.events import BadEvent, mapping, text
from service.stores.revocations import DynamoRevocations

LOST: Final = (
    "AdminRemoveUserFromGroup",
    "AdminDisableUser",
    "AdminDeleteUser",
    "AdminUserGlobalSignOut",
)
_SUB: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Matches a `sub` only. No token's `sub` is an e-mail address, the name of an identity provider's
user (`Google_1`) or the text that CloudTrail writes in place of a name. To revoke one of these
would have no effect, and no alarm would show that."""


def handle(event: dict[str, Any], _context: object) -> None:
    """Refuse the user's tokens issued until the event. Raises `BadEvent`, `Unavailable`.

    Uses the instant of the event, so that a late or repeated delivery does not refuse later
    sign-ins.
    """
    sub, at = _lost(event)
    store = DynamoRevocations(client("dynamodb"), os.environ["OPERATIONS_TABLE"])
    memory = timedelta(
        seconds=int(os.environ.get("AUTH_SESSION_MAX_SECONDS", LONGEST_SESSION_SECONDS))
    )
    store.put("sub", sub, revoked_at=at, expires_at=at + memory)


def _lost(event: dict[str, Any]) -> tuple[str, datetime]:
    """The user's `sub` and the instant. In the templates' pool the user name is the `sub`."""
    if not isinstance(event, dict):
        raise BadEvent("not an object")
    detail = mapping(event, "detail", of=object)
    if text(detail, "eventName") not in LOST or detail.get("errorCode"):
        raise BadEvent("another event, or a call that failed")
    parameters = mapping(detail, "requestParameters", of=object)
    more = mapping(detail, "additionalEventData", of=object, default={})
    sub = text(more, "sub", default="") or text(parameters, "username", default="")
    if not _SUB.fullmatch(sub):
        raise BadEvent("an event without a user")
    try:
        at = datetime.fromisoformat(text(detail, "eventTime"))
    except ValueError:
        raise BadEvent("eventTime is no instant") from None
    # Arithmetic with the first and the last years overflows.
    if at.tzinfo is None or not 2000 < at.year < 3000:
        raise BadEvent("eventTime has no zone, or a year that cannot be")
    return sub, at
