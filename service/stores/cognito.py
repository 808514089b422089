"""Cognito: signs subjects out at the user pool, changes their accounts, finds their identities.

A sign-out (`AdminUserGlobalSignOut`) voids refresh tokens at once. Access tokens stay good until
they expire, so a revocation goes with it. The pool takes the `sub` of its own users as `Username`.
If it does not find such a user, this module looks up the user name by the `sub`: the user is one of
another identity provider.
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import Any, Final

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.auth.errors import InvalidToken
from service.auth.revocation import PoolSignOut
from service.stores.credentials import aws_client, code_of, ignoring, unavailable

logger = logging.getLogger(__name__)

_SUB: Final = re.compile(r"[\w-]+", re.ASCII)
"""The form of a `sub`: Cognito's are UUIDs, and no other text must get into a filter."""

_CONFIG: Final = Config(
    # Short, because somebody waits for the answer, and so does the revocation.
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 1},
)
SUSPENDED: Final = "custom:suspended"
"""The attribute of a suspended account. Only administrators may write it (docker/ecs/data.yaml)."""
_NO_TOKEN: Final = ("InvalidParameterException", "UnsupportedTokenTypeException")
_NOT_FOUND: Final = "UserNotFoundException"
_SAYS: Final = {
    "AccessDeniedException": PoolSignOut.NO_PERMISSION,
    _NOT_FOUND: PoolSignOut.NO_SUCH_USER,
    # For example for the ARN of a role, which no user can have as name.
    "InvalidParameterException": PoolSignOut.NO_SUCH_USER,
}


class CognitoUserPool:
    """`UserPool` and `Accounts` on Cognito. Each remote call takes at most 3 s.

    `sign_out` makes at most three remote calls and never raises; the other methods raise
    `Unavailable`, and `end_session` also `InvalidToken`. The client is made when it is first
    needed, because few processes ever revoke anything.
    """

    def __init__(self, pool_id: str) -> None:
        self._pool_id = pool_id

    def sign_out(self, sub: str) -> tuple[PoolSignOut, datetime | None]:
        try:
            answer = self._call(sub, "admin_user_global_sign_out")
        except ClientError as error:
            return _failed(code_of(error)), _time_of(error.response)
        except BotoCoreError as error:
            return _failed(type(error).__name__), None
        except LookupError:
            return PoolSignOut.NO_SUCH_USER, None
        return PoolSignOut.DONE, _time_of(answer)

    def delete(self, sub: str) -> None:
        """Delete the account, if there is one. Three remote calls at most."""
        self._change(sub, "admin_delete_user")

    def end_session(self, refresh_token: str, client_id: str) -> None:
        """Void a refresh token. The pool then also refuses the tokens that were made with it.

        https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RevokeToken.html
        """
        # A text that is no refresh token has nothing to end.
        other = InvalidToken("a refresh token of another client")
        refused = _raising(other, instead_of="UnauthorizedException")
        with unavailable("user pool"), ignoring(*_NO_TOKEN), refused:
            self._client.revoke_token(Token=refresh_token, ClientId=client_id)

    def suspend(self, sub: str, suspended: bool) -> bool:
        """Set or clear the attribute that the triggers ask for; False if there is no account."""
        attribute = {"Name": SUSPENDED, "Value": str(suspended).lower()}
        return self._change(sub, "admin_update_user_attributes", UserAttributes=[attribute])

    def leave(self, sub: str, group: str) -> bool:
        """Take the account out of a group; False if there is no account."""
        return self._change(sub, "admin_remove_user_from_group", GroupName=group)

    def _change(self, sub: str, operation: str, **parameters: Any) -> bool:
        """Change an account. False if the pool has no such account."""
        try:
            with unavailable("user pool"):
                self._call(sub, operation, **parameters)
        except LookupError:
            return False
        return True

    def _call(self, sub: str, operation: str, **parameters: Any) -> Any:
        """Call with the `sub` as user name, or with the user name that belongs to it.

        Returns the answer. Raises `LookupError` if the pool has no such user.
        """
        call = partial(getattr(self._client, operation), UserPoolId=self._pool_id, **parameters)
        with suppress(LookupError), _raising(LookupError(), instead_of=_NOT_FOUND):
            return call(Username=sub)
        username = self._username_of(sub)
        # The pool may list a user for a moment after it was deleted.
        with _raising(LookupError(), instead_of=_NOT_FOUND):
            return call(Username=username)

    def _username_of(self, sub: str) -> str:
        """Raises `LookupError` if the pool has no such user."""
        if not _SUB.fullmatch(sub):
            raise LookupError
        found = self._client.list_users(
            UserPoolId=self._pool_id, Filter=f'sub = "{sub}"', AttributesToGet=[], Limit=1
        )
        return str(found["Users"][0]["Username"])

    @cached_property
    def _client(self) -> Any:
        return aws_client("cognito-idp", self._pool_id.partition("_")[0], _CONFIG)


class IdentityPool:
    """`Identities` on Cognito. `issuer`: of the tokens, with `https://`.

    https://docs.aws.amazon.com/cognitoidentity/latest/APIReference/API_GetId.html is a public call:
    the user's ID token is the only credential. The same user always gets the same identity.
    """

    def __init__(self, identity_pool_id: str, issuer: str) -> None:
        self._pool_id = identity_pool_id
        self._provider = issuer.removeprefix("https://")

    def identity_of(self, id_token: str) -> str:
        """The identity of the user of a verified ID token.

        The pool refuses a token of a user who is signed out or disabled, and of a client that it
        does not list.
        """
        logins = {self._provider: id_token}
        unknown = InvalidToken("refused by the identity pool")
        refused = _raising(unknown, instead_of="NotAuthorizedException")
        with unavailable("identity pool"), refused:
            found = self._client.get_id(IdentityPoolId=self._pool_id, Logins=logins)
        return str(found["IdentityId"])

    @cached_property
    def _client(self) -> Any:
        region = self._pool_id.partition(":")[0]
        config = _CONFIG.merge(Config(signature_version=UNSIGNED))
        return boto3.Session().client("cognito-identity", region_name=region, config=config)


@contextmanager
def _raising(ours: Exception, *, instead_of: str) -> Iterator[None]:
    """Raise `ours` in place of the error of AWS with this code."""
    try:
        yield
    except ClientError as error:
        if code_of(error) != instead_of:
            raise
        raise ours from error


def _time_of(answer: Any) -> datetime | None:
    """The pool's time when it answered, in whole seconds; None if the answer has no date."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date)
    except ValueError:
        return None


def _failed(code: str) -> PoolSignOut:
    outcome = _SAYS.get(code, PoolSignOut.FAILED)
    if outcome is not PoolSignOut.NO_SUCH_USER:
        logger.warning(
            "subject not signed out at the pool: its refresh tokens may still be honoured",
            extra={"cause": code},
        )
    return outcome
