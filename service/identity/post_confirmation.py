"""Puts a user who has confirmed the sign-up into the group `riders`; a repeat changes nothing.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-post-confirmation.html
If this fails, the user is in no group and so gets no scopes from the token trigger. An operator
then adds the group (service/identity/README.md).
"""

from __future__ import annotations

from typing import Final

from service.identity.aws import client
from service.identity.events import Event, answered, read
from service.identity.grants import RIDERS

SIGNED_UP: Final = "PostConfirmation_ConfirmSignUp"
RESET: Final = "PostConfirmation_ConfirmForgotPassword"


def handle(event: Event, _context: object) -> Event:
    """Add a user who has signed up to the group: one remote call. A reset password changes nothing.

    Raises `BadEvent` and botocore's errors.
    """
    trigger = read(event, SIGNED_UP, RESET)
    if trigger.source == SIGNED_UP:
        client("cognito-idp").admin_add_user_to_group(
            UserPoolId=trigger.pool_id, Username=trigger.username, GroupName=RIDERS
        )
    return answered(event)
