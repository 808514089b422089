"""Trigger that decides who may sign up: users of the allowed domains, each address once.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-sign-up.html
"""

from __future__ import annotations

import os
import re
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from service.identity.aws import client
from service.identity.events import Event, Refused, Trigger, answered, read
from service.identity.messages import Refusal, refusal

SELF: Final = "PreSignUp_SignUp"
INVITED: Final = "PreSignUp_AdminCreateUser"
FEDERATED: Final = "PreSignUp_ExternalProvider"

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9.-]{1,189})")
"""An address as the HTML standard defines it, but looser after the @. It has neither double quotes
nor backslashes, which could change the filter of `ListUsers`."""


def handle(event: Event, _context: object) -> Event:
    """Return the event if the user may sign up. Makes at most two remote calls.

    A user invited by an administrator may have an address of any domain. Raises `Refused`, with a
    text in the user's language, and `BadEvent`.
    """
    trigger = read(event, SELF, INVITED, FEDERATED)
    address = trigger.attributes.get("email", "")
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise _refused(trigger, Refusal.NO_ADDRESS)
    domains = _allowed_domains()
    if domains and trigger.source != INVITED and found[1].lower() not in domains:
        raise _refused(trigger, Refusal.DOMAIN)
    if _is_taken(trigger, address):
        raise _refused(trigger, Refusal.TAKEN)
    return answered(event)


def _allowed_domains() -> frozenset[str]:
    """The domains that may sign up; empty if all may. Subdomains must be listed separately."""
    listed = os.environ.get("ALLOWED_EMAIL_DOMAINS", "").lower().split(",")
    return frozenset(name.strip() for name in listed if name.strip())


def _is_taken(trigger: Trigger, address: str) -> bool:
    """Whether another user has the address, as written or in lower case.

    The pool compares the addresses of its own users only. Without this check, an identity provider
    that verifies no addresses would let a stranger in with another user's address.
    """
    pool = client("cognito-idp")
    try:
        found = [
            user["Username"]
            for each in sorted({address, address.lower()})
            for user in pool.list_users(
                UserPoolId=trigger.pool_id, Filter=f'email = "{each}"', AttributesToGet=[]
            )["Users"]
        ]
    except (BotoCoreError, ClientError) as error:
        raise _refused(trigger, Refusal.LATER) from error
    return any(username != trigger.username for username in found)


def _refused(trigger: Trigger, why: Refusal) -> Refused:
    return Refused(refusal(why, trigger.language))
