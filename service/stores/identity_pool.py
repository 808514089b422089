"""The identity pool, as far as the API needs it: which identity a user has.

https://docs.aws.amazon.com/cognitoidentity/latest/APIReference/API_GetId.html
A public call: the user's ID token is the only credential. The same user gets the same identity.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.model.errors import Unavailable

_CONFIG: Final = Config(
    signature_version=UNSIGNED,
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 1},
)


class IdentityPool:
    """`Identities` on Cognito. `issuer`: of the tokens, with `https://`."""

    def __init__(self, identity_pool_id: str, issuer: str) -> None:
        self._pool_id = identity_pool_id
        self._provider = issuer.removeprefix("https://")

    def identity_of(self, id_token: str) -> str:
        """The identity of the user of a verified ID token. Raises `Unavailable`."""
        try:
            found = self._client.get_id(
                IdentityPoolId=self._pool_id, Logins={self._provider: id_token}
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable(f"identity pool: {type(error).__name__}") from error
        return str(found["IdentityId"])

    @cached_property
    def _client(self) -> Any:
        region = self._pool_id.partition(":")[0]
        return boto3.Session().client("cognito-identity", region_name=region, config=_CONFIG)
