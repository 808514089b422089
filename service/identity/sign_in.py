"""Triggers before a sign-in (refuse suspended users) and after it (write an audit line).

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-authentication.html
https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-authentication.html
Neither runs when a session is renewed; there the token trigger refuses suspended users.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from service.identity.events import Event, Refused, Trigger, answered, flag, read
from service.identity.messages import Refusal, refusal

BEFORE: Final = "PreAuthentication_Authentication"
AFTER: Final = "PostAuthentication_Authentication"
SUSPENDED: Final = "custom:suspended"
"""The attribute that `account suspend` sets (service/stores/cognito.py, compared by a test)."""


def before(event: Event, _context: object) -> Event:
    """Refuse a suspended user. Raises `Refused` and `BadEvent`. No remote call."""
    require_not_suspended(read(event, BEFORE))
    return answered(event)


def after(event: Event, _context: object) -> Event:
    """Log who signed in at which client, by the pool's ids only. Raises `BadEvent`."""
    trigger = read(event, AFTER)
    line = {
        "message": "signed in",
        "audit": True,
        "sub": trigger.attributes.get("sub", ""),
        "client_id": trigger.client_id,
        "new_device": flag(trigger.request, "newDeviceUsed"),
    }
    # Lambda logs each line of stdout as one event.
    sys.stdout.write(f"{json.dumps(line)}\n")
    return answered(event)


def require_not_suspended(trigger: Trigger) -> None:
    """Raises `Refused` if the attribute is set to anything but `false`."""
    if trigger.attributes.get(SUSPENDED, "false") != "false":
        raise Refused(refusal(Refusal.SUSPENDED, trigger.language))
