"""AWS clients, whose credentials are found and renewed in the background, and errors of AWS.

botocore renews credentials inside the call that needs them, without a time limit: if the endpoint
of credentials does not answer, every request hangs. Here a thread renews them 15 minutes before
they end, by botocore's own chain of providers, and calls use the latest ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    Credentials,
    ReadOnlyCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
)

from service.background import Repeated
from service.model.errors import Unavailable

ATTEMPT_EVERY: Final = timedelta(seconds=2)
"""Time between two attempts, and the pause after a failure. Once there are
credentials, an attempt makes no remote call before they must be renewed."""
FIRST_WITHIN_SECONDS: Final = 1.0
"""How long a new client waits for its first credentials; those in the environment need no wait."""


class KeptCredentials(Credentials):
    """The latest credentials of a session's chain. `start` it after any fork."""

    method = "kept"

    def __init__(self, chain: botocore.session.Session) -> None:
        self._chain = chain
        self._found: Credentials | None = None
        self._frozen: ReadOnlyCredentials | None = None
        self._renewing = Repeated(
            "looking for credentials", self._renew_if_due, ATTEMPT_EVERY.total_seconds()
        )

    def start(self) -> None:
        """Start the background thread; wait at most a second for the first credentials."""
        self._renewing.start(FIRST_WITHIN_SECONDS)

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Valid credentials, without a remote call.

        Raises `NoCredentialsError` if none have been found, `CredentialRetrievalError` if the found
        ones have expired.
        """
        found, frozen = self._found, self._frozen
        if frozen is None:
            raise NoCredentialsError
        if isinstance(found, RefreshableCredentials) and found.refresh_needed(refresh_in=0):
            raise CredentialRetrievalError(provider=found.method, error_msg="they have expired")
        return frozen

    @property
    def account_id(self) -> str | None:
        """The account's id, which botocore reads before it signs, for endpoints that name it."""
        return self._frozen and self._frozen.account_id

    def _renew_if_due(self) -> bool:
        """Find or renew credentials. Returns False if they will never need renewal."""
        if self._found is None:
            self._found = self._chain.get_credentials()
        if self._found is None:
            return True
        # Renews in the last 15 minutes; raises if that fails in the last 10 minutes.
        self._frozen = self._found.get_frozen_credentials()
        return isinstance(self._found, RefreshableCredentials)


class KeptProvider(CredentialProvider):
    """Gives a session kept credentials; starts them when a client is made."""

    METHOD = "kept"

    def load(self) -> KeptCredentials:
        kept = KeptCredentials(botocore.session.Session())
        kept.start()
        return kept


def session_with_kept_credentials() -> botocore.session.Session:
    """A session whose clients share kept credentials. Make it after any fork."""
    session = botocore.session.Session()
    session.register_component("credential_provider", CredentialResolver([KeptProvider()]))
    return session


def aws_client(service: str, region: str, config: Config) -> Any:
    """A client with kept credentials. Make it after any fork."""
    session: Any = boto3.Session(botocore_session=session_with_kept_credentials())
    return session.client(service, region_name=region, config=config)


def code_of(error: ClientError) -> str:
    """The code of an error of AWS, such as `ResourceInUseException`."""
    return error.response["Error"]["Code"]


@contextmanager
def ignoring(*codes: str) -> Iterator[None]:
    """Ignore errors of AWS with one of these codes in the block.

    The classes in `client.exceptions` do not fit for that: botocore makes them when they are first
    needed, and threads that need them at the same time get different ones.
    """
    try:
        yield
    except ClientError as error:
        if code_of(error) not in codes:
            raise


@contextmanager
def unavailable(peer: str) -> Iterator[None]:
    """Raise `Unavailable` for any error of botocore in the block; its text names the peer."""
    try:
        yield
    except ClientError as error:
        raise Unavailable(f"{peer}: {code_of(error)}") from error
    except BotoCoreError as error:
        raise Unavailable(f"{peer}: {type(error).__name__}") from error
