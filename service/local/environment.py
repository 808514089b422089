"""The environment of the stack's processes, and the same for a person's shell."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError

from service.local.emulators import HOST, REGION
from service.local.identity import MACHINE_SCOPES, USER_SCOPES, Identity
from service.local.login import Login
from service.local.provisioning import jwks_url
from service.local.roads import MAX_TABLE_SIZE
from service.local.stack import Stack, StackError
from service.settings import ApiSettings, Settings

CALLERS = (*USER_SCOPES, "machine")


def redirects_of(*web_urls: str) -> list[str]:
    """Where the login page may send people back to."""
    return [f"{url}{path}" for url in web_urls for path in ("/", "/console")]


def redirects(stack: Stack) -> list[str]:
    return redirects_of(stack.web_url, f"http://localhost:{stack.ports.web}")


def identity_settings(aws_url: str, identity: Identity) -> dict[str, str]:
    """What the API has to know of the pool."""
    issuers = (
        f"https://{prefix}.{REGION}.amazonaws.com/{identity.pool_id}"
        for prefix in ("cognito-idp", "issuer-cognito-idp")
    )
    return {
        "COGNITO_USER_POOL_ID": identity.pool_id,
        "COGNITO_CLIENT_IDS": f"{identity.web_client_id},{identity.machine_client_id}",
        "COGNITO_ISSUERS": ",".join(issuers),
        "COGNITO_JWKS_URL": jwks_url(aws_url, identity),
        "COGNITO_DOMAIN_URL": aws_url,
    }


def of_service(stack: Stack, identity: Identity) -> dict[str, str]:
    """Settings this stack decides; all others keep the caller's value or their default."""
    return {
        **stack.secrets.aws_credentials,
        **identity_settings(stack.aws_url, identity),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_DYNAMODB": stack.aws_url,
        "AWS_ENDPOINT_URL_STS": stack.aws_url,
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": stack.aws_url,
        **_routing_settings(stack),
        "REDIS_URL": stack.redis_url,
        "CELERY_BROKER_URL": stack.redis_url,
        "HOST": HOST,
        "PORT": str(stack.ports.web),
        "PUBLIC_URL": stack.web_url,
        "CORS_ORIGINS": f"http://localhost:3000,http://localhost:{stack.ports.web}",
        "FLOWER_ADDRESS": HOST,
        "FLOWER_PORT": str(stack.ports.monitor),
        "FLOWER_BASIC_AUTH": f"admin:{stack.secrets.monitor_password}",
    }


def _routing_settings(stack: Stack) -> dict[str, str]:
    """Where travel times come from, if the stack has a routing engine of its own."""
    if not stack.roads_url:
        return {}
    return {"TRAVEL_TIMES_URL": stack.roads_url, "TRAVEL_TIMES_MAX_TABLE": str(MAX_TABLE_SIZE)}


def common_settings(stack: Stack) -> Settings:
    """The settings all processes share, the caller's among them."""
    with _faults_named():
        return Settings(aws_region=REGION, redis_url=stack.redis_url)


@contextmanager
def _faults_named() -> Iterator[None]:
    """Turns what is wrong with settings into a `StackError`."""
    try:
        yield
    except ValidationError as error:
        faults = [f"  {str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise StackError("\n".join(["bad settings:", *faults])) from error


def of_processes(stack: Stack, identity: Identity) -> dict[str, str]:
    """The whole environment of a process: the caller's, without what it may know of a real AWS."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    tools = stack.project / ".venv" / "bin"
    return {
        **inherited,
        **of_service(stack, identity),
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def tokens(stack: Stack, identity: Identity) -> dict[str, str]:
    """A fresh access token per kind of caller, under the name it has in `.local/env`."""
    return {f"{user.upper()}_TOKEN": token(stack, identity, user) for user in CALLERS}


def token(stack: Stack, identity: Identity, user: str) -> str:
    """A fresh access token of one of the `CALLERS`."""
    password = stack.secrets.demo_password
    return token_of(user, stack.aws_url, identity, password, redirects(stack)[0])


def token_of(user: str, aws_url: str, identity: Identity, password: str, redirect: str) -> str:
    if user == "machine":
        login = Login(aws_url, identity.machine_client_id, redirect)
        return login.as_machine(identity.machine_secret, MACHINE_SCOPES).access_token
    login = Login(aws_url, identity.web_client_id, redirect)
    return login.sign_in(user, password, USER_SCOPES[user]).access_token


def of_shell(stack: Stack, identity: Identity, granted: Mapping[str, str]) -> str:
    """Shell lines that export every setting and token."""
    decided = of_service(stack, identity)
    values = {
        **_all_settings({**os.environ, **decided}),
        "METRICS_PORT": os.environ.get("METRICS_PORT", "0"),
        **decided,
        "API_URL": stack.web_url,
        **granted,
    }
    lines = (f"export {name}={shlex.quote(value)}" for name, value in sorted(values.items()))
    return "\n".join(lines) + "\n"


def _all_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Each setting as the service would read it, defaults included."""
    known = {name.lower(): value for name, value in environment.items() if value}
    with _faults_named():
        settings = ApiSettings.model_validate(
            {name: known[name] for name in ApiSettings.model_fields if name in known}
        )
    return {name.upper(): _text(value) for name, value in settings.model_dump().items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)


def of_herd(stack: Stack, identity: Identity) -> dict[str, str]:
    """What the herd needs to sign its unicorns in; see `service.local.herd`."""
    return {
        "HERD_API_URL": stack.web_url,
        "HERD_LOGIN_URL": stack.aws_url,
        "HERD_CLIENT_ID": identity.web_client_id,
        "HERD_REDIRECT_URI": redirects(stack)[0],
        "HERD_PASSWORD": stack.secrets.demo_password,
    }
