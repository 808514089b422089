"""Creates the tables and the user pool in an empty AWS account."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import jwt
from botocore.config import Config

from service.local import triggers
from service.local.identity import MACHINE_SCOPES, Identity, Pool
from service.local.login import Login
from service.local.stack import StackError, write_private
from service.settings import Settings
from service.stores.dynamodb.schema import create_tables


def provision(
    aws_url: str,
    credentials: Mapping[str, str],
    settings: Settings,
    password: str,
    redirects: Sequence[str],
    *,
    triggered: Mapping[str, str] | None = None,
) -> Identity:
    """Create what is missing and change nothing else. `password`: the password of new demo users.

    `triggered`: the settings of the pool's triggers; None: the pool gets no triggers.
    """
    session = boto3.Session(credentials["AWS_ACCESS_KEY_ID"], credentials["AWS_SECRET_ACCESS_KEY"])

    def client(service: str) -> Any:
        return session.client(
            service,  # type: ignore[call-overload]
            region_name=settings.aws_region,
            endpoint_url=aws_url,
            config=Config(retries={"total_max_attempts": 3}, read_timeout=20),
        )

    create_tables(client("dynamodb"), settings)
    pool = Pool.ensure(client("cognito-idp"))
    if triggered is not None:
        pool.call(triggers.ensure(client("lambda"), client("iam"), triggered))
    identity = pool.furnish(password, redirects)
    check_keys(aws_url, identity)
    return identity


def jwks_url(aws_url: str, identity: Identity) -> str:
    """The address of the pool's keys in the emulator. The `iss` of the pool's tokens names AWS."""
    return f"{aws_url}/{identity.pool_id}/.well-known/jwks.json"


def check_keys(aws_url: str, identity: Identity) -> None:
    """Raises `StackError` unless a fresh token verifies with a published key.

    An emulator without `cryptography` serves a malformed key and signs with random bytes.
    """
    login = Login(aws_url, identity.machine_client_id, "")
    token = login.as_machine(identity.machine_secret, MACHINE_SCOPES).access_token
    try:
        keys = jwt.PyJWKSet.from_dict(_get(jwks_url(aws_url, identity)))
        key = keys[jwt.get_unverified_header(token)["kid"]]
        jwt.decode(token, key, algorithms=["RS256"])
    except (jwt.PyJWTError, KeyError, ValueError) as error:
        raise StackError(f"the emulator's tokens do not verify: {error}") from error


def _get(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", parts.path)
        document: dict[str, Any] = json.load(connection.getresponse())
        return document
    finally:
        connection.close()


def save_identity(identity: Identity, folder: Path) -> bool:
    """Save the ids for the next command; True if they differ from the saved ones."""
    path = folder / "identity.json"
    text = json.dumps(asdict(identity), indent=2)
    changed = not path.exists() or path.read_text() != text
    write_private(path, text)
    return changed


def load_identity(folder: Path) -> Identity:
    """The saved ids of a provisioned stack."""
    return Identity(**json.loads((folder / "identity.json").read_text()))
