"""What a view works with: the process's dependencies and who is calling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, cast

from flask import Flask, current_app, g

if TYPE_CHECKING:
    from service.auth.principal import Principal
    from service.auth.revocation import RevocationCheck, RevocationStore, UserPool
    from service.core.accounts import Accounts
    from service.core.city_map import Picture
    from service.core.photos import Photos
    from service.core.ports import Ports
    from service.core.staff import Oversight
    from service.http.limits import Limiter
    from service.settings import ApiSettings

_KEY: Final = "dispatch"


class Verifier(Protocol):
    """Turns a token into the principal it proves; raises `AuthError`."""

    def verify(self, token: str, now: float) -> Principal: ...


class Identities(Protocol):
    """Says which identity of the identity pool a user has."""

    def identity_of(self, id_token: str) -> str:
        """Of the user of a verified ID token. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class IdentityDesk:
    """The identity pool, and what verifies the ID tokens that it is asked with."""

    verifier: Verifier
    pool: Identities


class Probe(Protocol):
    """Asks whether a part the service stands on is usable; raises or says no."""

    def __call__(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Everything the API works with. Built once per process, after any fork."""

    settings: ApiSettings
    ports: Ports
    oversight: Oversight
    picture: Picture
    """Of `oversight.city`, for all who follow it in this process."""
    verifier: Verifier
    revocations: RevocationStore
    revoked: RevocationCheck
    """Asks `revocations`."""
    pool: UserPool
    """Signs a revoked subject out."""
    accounts: Accounts
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    probes: Mapping[str, Probe]
    """By the names that `/readyz` tells; only those in `health.REQUIRED` make it unavailable."""
    refused: Callable[[str | None], None] = lambda _subject: None
    """Told of each call of a unicorn that was not accepted, and of whose account, if known."""
    iam: Verifier | None = None
    """Verifies credentials of IAM roles, if any may call."""
    id_tokens: Verifier | None = None
    """Verifies access and ID tokens, if the workshop's page may send those."""
    photos: Photos | None = None
    """None: photos are off, as is `identities`."""
    identities: IdentityDesk | None = None
    limiter: Limiter | None = None
    """None: nobody is limited."""


def provide(app: Flask, dependencies: Dependencies) -> None:
    app.extensions[_KEY] = dependencies


def dependencies() -> Dependencies:
    """This application's dependencies."""
    return cast(Dependencies, current_app.extensions[_KEY])


def caller() -> Principal:
    """Who is calling; only on routes whose policy is not public."""
    return cast("Principal", g.principal)


def request_id() -> str:
    return cast(str, g.request_id)
