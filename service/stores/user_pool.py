"""The Cognito user pool, as far as revoking needs it: signing a subject out everywhere.

https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/
API_AdminUserGlobalSignOut.html: refresh tokens are void at once. Access tokens stay good until they
expire, so a revocation goes with it. `Username` takes the `sub` of a local user.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.auth.revocation import SignOut
from service.stores.credentials import session_with_kept_credentials

logger = logging.getLogger(__name__)

_CONFIG: Final = Config(
    # An admin waits for the answer, and the revocation with it.
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 1},
)
_SAYS: Final = {
    "AccessDeniedException": SignOut.NO_PERMISSION,
    "UserNotFoundException": SignOut.NO_SUCH_USER,
}


class CognitoUserPool:
    """`UserPool` on Cognito. One remote call of 3 s at most for each `sign_out`; never raises.

    The client is made when it is first needed: few processes ever revoke anything.
    """

    def __init__(self, pool_id: str) -> None:
        self._pool_id = pool_id

    def sign_out(self, sub: str) -> SignOut:
        try:
            self._client.admin_user_global_sign_out(UserPoolId=self._pool_id, Username=sub)
        except ClientError as error:
            return _failed(error.response["Error"]["Code"])
        except BotoCoreError as error:
            return _failed(type(error).__name__)
        return SignOut.DONE

    @cached_property
    def _client(self) -> Any:
        session = boto3.Session(botocore_session=session_with_kept_credentials())
        region = self._pool_id.partition("_")[0]
        return session.client("cognito-idp", region_name=region, config=_CONFIG)


def _failed(code: str) -> SignOut:
    outcome = _SAYS.get(code, SignOut.FAILED)
    if outcome is not SignOut.NO_SUCH_USER:
        logger.warning(
            "subject not signed out at the pool: its refresh tokens may still be honoured",
            extra={"cause": code},
        )
    return outcome
