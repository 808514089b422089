"""AWS credentials for which no call waits: found and renewed in the background, kept to their end.

botocore renews credentials inside the call that happens to need them, one caller after the other,
outside of any budget: with a silent credentials endpoint every request hangs. Here one thread asks,
by botocore's own chain of providers and ahead of need (15 minutes before the end), and calls take
what it found last.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import botocore.session
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    Credentials,
    ReadOnlyCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

from service.background import Repeated

LOOK_EVERY: Final = timedelta(seconds=2)
"""Looking costs nothing until it is time to renew; after a failure this is the pause."""
FIRST_WITHIN_SECONDS: Final = 1.0
"""How long the first client waits for credentials: those in the environment are there at once."""


class KeptCredentials(Credentials):
    """The credentials of a session's chain as last found. `start` it after any fork."""

    method = "kept"

    def __init__(self, chain: botocore.session.Session) -> None:
        self._chain = chain
        self._found: Credentials | None = None
        self._frozen: ReadOnlyCredentials | None = None
        self._looking = Repeated("looking for credentials", self._look, LOOK_EVERY.total_seconds())

    def start(self) -> None:
        """Begin to look in the background; waits a second at most for the first credentials."""
        self._looking.start(FIRST_WITHIN_SECONDS)

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Good credentials, without any remote call.

        Raises `NoCredentialsError` if none were found so far, `CredentialRetrievalError` if those
        that were found have ended.
        """
        found, frozen = self._found, self._frozen
        if frozen is None:
            raise NoCredentialsError
        if isinstance(found, RefreshableCredentials) and found.refresh_needed(refresh_in=0):
            raise CredentialRetrievalError(provider=found.method, error_msg="they have ended")
        return frozen

    @property
    def account_id(self) -> str | None:
        """For endpoints that name the account; asked for before a call is signed."""
        return self._frozen and self._frozen.account_id

    def _look(self) -> bool:
        """Find or renew. Returns false when there will never be anything to renew."""
        if self._found is None:
            self._found = self._chain.get_credentials()
        if self._found is None:
            return True
        # Renews in the last 15 minutes; raises if it cannot in the last 10.
        self._frozen = self._found.get_frozen_credentials()
        return isinstance(self._found, RefreshableCredentials)


class KeptProvider(CredentialProvider):
    """Gives a session kept credentials, and starts to look for them when a client is made."""

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
