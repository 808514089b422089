"""The user pool's own events: who lost a group or the account loses the tokens that say otherwise.

EventBridge delivers them as CloudTrail tells them:
https://docs.aws.amazon.com/cognito/latest/developerguide/understanding-amazon-cognito-entries.html
Nobody promises when: CloudTrail names no bound. `account` (service/command) does it within 5 s.
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
"""Not an address, the name of an identity provider's user (`Google_1`), or what CloudTrail writes
in place of a name: to revoke those would refuse no token and raise no alarm."""


def handle(event: dict[str, Any], _context: object) -> None:
    """Refuse the user's tokens issued until the event. Raises `BadEvent`, `Unavailable`.

    The instant is the event's, so that a late or repeated delivery spares whoever signed in since.
    """
    sub, at = _lost(event)
    store = DynamoRevocations(client("dynamodb"), os.environ["OPERATIONS_TABLE"])
    memory = timedelta(
        seconds=int(os.environ.get("AUTH_SESSION_MAX_SECONDS", LONGEST_SESSION_SECONDS))
    )
    store.put("sub", sub, revoked_at=at, expires_at=at + memory)


def _lost(event: dict[str, Any]) -> tuple[str, datetime]:
    """Whose tokens, and when. In the templates' pool the user name is the `sub`."""
    if not isinstance(event, dict):
        raise BadEvent("not an object")
    detail = mapping(event, "detail", of=object)
    if text(detail, "eventName") not in LOST or detail.get("errorCode"):
        raise BadEvent("another event, or a call that failed")
    parameters = mapping(detail, "requestParameters", of=object)
    more = mapping(detail, "additionalEventData", of=object, default={})
    sub = text(more, "sub", default="") or text(parameters, "username", default="")
    if not _SUB.fullmatch(sub):
        raise BadEvent("an event that does not say who")
    try:
        at = datetime.fromisoformat(text(detail, "eventTime"))
    except ValueError:
        raise BadEvent("eventTime is no instant") from None
    if at.tzinfo is None:
        raise BadEvent("eventTime has no zone")
    return sub, at
