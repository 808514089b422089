"""The programs that compose runs beside the service: provisioning, tokens and the herd.

`python -m service.local.containers provision|token USER|herd`. Settings come from the environment;
provisioning writes its results to the shared volume, as shell lines for the image's entrypoint.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.local import herd
from service.local.environment import (
    CALLERS,
    identity_settings,
    redirects_of,
    redirects_of_origins,
    token_of,
)
from service.local.identity import Identity
from service.local.provisioning import load_identity, provision, save_identity
from service.local.stack import Secrets, write_private
from service.settings import Settings, load

FOLDER = Path("/settings")
FROM_COMPOSE = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "REDIS_URL",
    "PUBLIC_URL",
    "COGNITO_DOMAIN_URL",
    "CORS_ORIGINS",
)


def provision_all(environment: Mapping[str, str]) -> None:
    """Create tables and user pool, and write the settings of the service's containers."""
    aws_url = environment["AWS_ENDPOINT_URL_DYNAMODB"]
    secrets = Secrets.of(FOLDER)
    identity = provision(
        aws_url,
        environment,
        load(Settings),
        secrets.demo_password,
        [
            *redirects_of(environment["PUBLIC_URL"]),
            *redirects_of_origins(environment["CORS_ORIGINS"]),
        ],
    )
    save_identity(identity, FOLDER)
    settings = {
        **identity_settings(aws_url, identity),
        **{name: environment[name] for name in FROM_COMPOSE},
        # The keys come in the clear over the compose network, from the container of this name only.
        "AUTH_JWKS_ALLOW_HTTP_HOSTS": "aws",
        "FLOWER_ADDRESS": "0.0.0.0",  # noqa: S104 - inside the container; published on 127.0.0.1
        "FLOWER_BASIC_AUTH": f"admin:{secrets.monitor_password}",
    }
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
    write_private(FOLDER / "env", "".join(lines))
    # Readable by all, because Prometheus runs as another user. Only this project mounts the volume.
    (FOLDER / "monitor-password").write_text(secrets.monitor_password)


def print_token(environment: Mapping[str, str], user: str) -> None:
    if user not in CALLERS:
        sys.exit(f"no such user, choose one of {', '.join(CALLERS)}")
    print(_token(environment, load_identity(FOLDER), user))


def _token(environment: Mapping[str, str], identity: Identity, user: str) -> str:
    redirect = redirects_of(environment["PUBLIC_URL"])[0]
    password = Secrets.of(FOLDER).demo_password
    aws_url = environment["AWS_ENDPOINT_URL_DYNAMODB"]
    return token_of(user, aws_url, identity, password, redirect)


def run_herd(environment: Mapping[str, str]) -> None:
    settings = {
        "HERD_LOGIN_URL": environment["AWS_ENDPOINT_URL_DYNAMODB"],
        "HERD_CLIENT_ID": load_identity(FOLDER).web_client_id,
        "HERD_REDIRECT_URI": redirects_of(environment["PUBLIC_URL"])[0],
        "HERD_PASSWORD": Secrets.of(FOLDER).demo_password,
    }
    herd.run({**environment, **settings})


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["provision"]:
            provision_all(os.environ)
        case ["token", user]:
            print_token(os.environ, user)
        case ["herd"]:
            run_herd(os.environ)
        case _:
            sys.exit("usage: python -m service.local.containers provision|token USER|herd")


if __name__ == "__main__":
    main(sys.argv[1:])
