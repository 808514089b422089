"""What a handler can ask for: the process's dependencies, the caller, the client and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, cast

from flask import Flask, current_app, g, request

from service.auth.callers import Authority, Verifier

if TYPE_CHECKING:
    from service.auth.gateway import GatewayCallers
    from service.auth.principal import Principal
    from service.auth.revocation import Accounts, RevocationStore, UserPool
    from service.core.city_map import SharedMap
    from service.core.photos import Photos
    from service.core.ports import Ports
    from service.core.staff import Oversight
    from service.http.limits import Limiter
    from service.probes import Probe
    from service.settings import ApiSettings

_KEY: Final = "dispatch"
_CLIENT: Final = "gunicorn.socket"
"""The WSGI variable in which gunicorn passes the connection (`entrypoints.connection`)."""


class Identities(Protocol):
    """Says which identity of the identity pool a user has."""

    def identity_of(self, id_token: str) -> str:
        """The identity of the user of a verified ID token.

        Raises `InvalidToken` if the identity pool refuses the token, or `Unavailable`.
        """


@dataclass(frozen=True, slots=True)
class IdentityDesk:
    """The identity pool, and the verifier of the ID tokens that are sent with it."""

    verifier: Verifier
    pool: Identities


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies(Authority):
    """Everything that the API works with. Built once per process, after any fork."""

    settings: ApiSettings
    ports: Ports
    oversight: Oversight
    shared_map: SharedMap
    """The map of `oversight.city`, shared by all followers in this process."""
    revocations: RevocationStore
    """The store from which `revoked` gets its answers."""
    pool: UserPool
    """The user pool at which a revoked subject is signed out."""
    accounts: Accounts
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    probes: Mapping[str, Probe]
    """The probes, by the names that `/readyz` shows. Only a failure of one that is named in
    `health.REQUIRED` makes `/readyz` answer 503."""
    refused: Callable[[str | None], None] = lambda _subject: None
    """Called for each refused call of a unicorn, with the caller's account or None (unknown)."""
    gateway: GatewayCallers
    """Makes principals from the facts that our gateway sends about a request."""
    photos: Photos | None = None
    """None if photos are off."""
    identities: IdentityDesk | None = None
    limiter: Limiter | None = None
    """None if there are no rate limits."""


def provide(app: Flask, dependencies: Dependencies) -> None:
    app.extensions[_KEY] = dependencies


def dependencies() -> Dependencies:
    """This application's dependencies."""
    return cast(Dependencies, current_app.extensions[_KEY])


def caller() -> Principal:
    """The caller's principal; only for routes whose policy is not public."""
    return cast("Principal", g.principal)


def request_id() -> str:
    return cast(str, g.request_id)


Refusal = tuple[int, str, str]
"""Status, reason and detail of the answer to a request that the server could not read."""


class Client(Protocol):
    """The connection on which a request came."""

    refusal: Refusal | None
    """Set if the server could not read the request; the application then answers with it."""

    def watched(self, gone: Callable[[], None]) -> AbstractContextManager[None]:
        """While the context lasts, `gone` is called once if the client closes its connection."""


class SilentClient:
    """Used where the server passes no connection, as in tests over WSGI."""

    refusal: Refusal | None = None

    def watched(self, gone: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


_SILENT: Final = SilentClient()


def client() -> Client:
    """The client of the current request."""
    return cast(Client, request.environ.get(_CLIENT, _SILENT))
