"""Makes the environments of the stack's processes, and the exports for a shell."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping

from service.local.emulators import HOST
from service.local.identity import MACHINE_SCOPES, USER_SCOPES, Identity
from service.local.login import Login
from service.local.provisioning import jwks_url
from service.local.roads import MAX_TABLE_SIZE
from service.local.stack import Stack, StackError, StackSettings, faults_named
from service.setting_types import parts_of
from service.settings import ApiSettings, MonitorSettings, Settings, read

CALLERS = (*USER_SCOPES, "machine")


def redirects_of(*web_urls: str) -> list[str]:
    """The addresses to which the login page may redirect."""
    return [f"{url}{path}" for url in web_urls for path in ("/", "/drive", "/console")]


def redirects(stack: Stack) -> list[str]:
    """The addresses of the stack's own pages, then of pages whose origins may call the API."""
    own = redirects_of(stack.web_url, f"http://localhost:{stack.ports.web}")
    return [*own, *redirects_of_origins(cors_origins(stack))]


def redirects_of_origins(cors_origins: str) -> list[str]:
    """The addresses to which the login page may redirect on each origin of `CORS_ORIGINS`."""
    return [
        f"{origin}{path}" for origin in parts_of(cors_origins) for path in ("/", "/callback", "")
    ]


def cors_origins(stack: Stack) -> str:
    """The given origins, or else those of a development server and of the stack's own pages."""
    return given("CORS_ORIGINS") or (f"http://localhost:3000,http://localhost:{stack.ports.web}")


def given(name: str) -> str:
    """The value that the person who starts the stack gave this variable; empty if none."""
    return os.environ.get(name, "").strip()


def identity_settings(aws_url: str, identity: Identity) -> dict[str, str]:
    """The API's settings about the user pool."""
    region = identity.pool_id.rpartition("_")[0]
    issuers = (
        f"https://{prefix}.{region}.amazonaws.com/{identity.pool_id}"
        for prefix in ("cognito-idp", "issuer-cognito-idp")
    )
    own = (identity.web_client_id, identity.machine_client_id)
    return {
        "COGNITO_USER_POOL_ID": identity.pool_id,
        # Clients that were given are accepted besides the stack's own.
        "COGNITO_CLIENT_IDS": ",".join(
            dict.fromkeys([*own, *parts_of(given("COGNITO_CLIENT_IDS"))])
        ),
        "COGNITO_ISSUERS": ",".join(issuers),
        "COGNITO_JWKS_URL": jwks_url(aws_url, identity),
        "COGNITO_DOMAIN_URL": aws_url,
    }


def service_environment(stack: Stack, identity: Identity) -> dict[str, str]:
    """The settings that the stack decides; all others keep the given value or their default."""
    return {
        **_past_proxies(),
        **stack.secrets.aws_credentials,
        **identity_settings(stack.aws_url, identity),
        "AWS_REGION": stack.region,
        "AWS_DEFAULT_REGION": stack.region,
        "AWS_ENDPOINT_URL_DYNAMODB": stack.aws_url,
        "AWS_ENDPOINT_URL_STS": stack.aws_url,
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": stack.aws_url,
        **_routing_settings(stack),
        "REDIS_URL": stack.redis_url,
        "CELERY_BROKER_URL": stack.redis_url,
        "HOST": HOST,
        "PORT": str(stack.ports.web),
        "PUBLIC_URL": stack.web_url,
        "CORS_ORIGINS": cors_origins(stack),
        "FLOWER_ADDRESS": HOST,
        "FLOWER_PORT": str(stack.ports.monitor),
        "FLOWER_BASIC_AUTH": f"admin:{stack.secrets.monitor_password}",
    }


def _past_proxies() -> dict[str, str]:
    """The settings that keep calls to the stack away from a proxy that the environment names."""
    given_names = parts_of(given("no_proxy") or given("NO_PROXY"))
    names = ",".join(dict.fromkeys([*given_names, HOST, "localhost"]))
    return {"no_proxy": names, "NO_PROXY": names}


def _routing_settings(stack: Stack) -> dict[str, str]:
    """Where travel times come from, if the stack has a routing engine of its own."""
    if not stack.roads_url:
        return {}
    return {"TRAVEL_TIMES_URL": stack.roads_url, "TRAVEL_TIMES_MAX_TABLE": str(MAX_TABLE_SIZE)}


def common_settings(stack: Stack) -> Settings:
    """The settings of every process, those of the caller included."""
    with faults_named():
        decided = {"AWS_REGION": stack.region, "REDIS_URL": stack.redis_url}
        return read(Settings, {**os.environ, **decided})


def require_effective(stack: Stack, identity: Identity) -> None:
    """Raise `StackError` naming each given setting that is bad, or that the stack decides itself.

    A given value takes effect or is refused, because a silently replaced one is hard to notice.
    Credentials of a real AWS account are not settings; the stack's processes never see them.
    """
    decided = service_environment(stack, identity)
    replaced = [
        f"  {name}: the stack decides this itself, unset it{_HINTS.get(name, '')}"
        for name, value in decided.items()
        if name.lower() in {*ApiSettings.model_fields, *MonitorSettings.model_fields}
        and name not in {"COGNITO_CLIENT_IDS", "CORS_ORIGINS"}
        and given(name) not in {"", value}
    ]
    if replaced:
        raise StackError("\n".join(["cannot start with these settings:", *replaced]))
    _all_settings({**os.environ, **decided})
    with faults_named():
        read(MonitorSettings, {**os.environ, **decided})


_HINTS: Mapping[str, str] = {
    "HOST": f" (it listens on {HOST} only)",
    "PORT": " (or leave out --ports)",
    "FLOWER_PORT": " (MONITOR_PORT sets the port)",
    "CELERY_BROKER_URL": " (REDIS_PORT sets the port)",
    "REDIS_URL": " (REDIS_PORT sets the port)",
    "AWS_ENDPOINT_URL_DYNAMODB": " (AWS_PORT sets the port)",
    "PUBLIC_URL": " (PORT sets the port)",
}


def process_environment(stack: Stack, identity: Identity) -> dict[str, str]:
    """The environment of a process: the caller's, without the settings of a real AWS account."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    tools = stack.project / ".venv" / "bin"
    return {
        **inherited,
        **service_environment(stack, identity),
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        **_NO_REAL_AWS,
    }


_NO_REAL_AWS: Mapping[str, str] = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def keep_to_the_stack() -> None:
    """Keep the calls of this process away from a real AWS account and from proxies.

    A profile, a file or a proxy of the person who starts the stack can also make every call fail.
    """
    for name in [*os.environ]:
        if name.startswith("AWS_") and name.lower() not in StackSettings.model_fields:
            del os.environ[name]
    os.environ.update({**_NO_REAL_AWS, **_past_proxies()})


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


def shell_exports(stack: Stack, identity: Identity, granted: Mapping[str, str]) -> str:
    """Shell lines that export every setting and token."""
    decided = service_environment(stack, identity)
    values = {
        **_all_settings({**os.environ, **decided}),
        **decided,
        "API_URL": stack.web_url,
        **granted,
    }
    lines = (f"export {name}={shlex.quote(value)}" for name, value in sorted(values.items()))
    return "\n".join(lines) + "\n"


def _all_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Each setting as the service would read it, defaults included."""
    with faults_named():
        settings = read(ApiSettings, environment)
    return {name.upper(): _text(value) for name, value in settings.model_dump().items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)


def herd_environment(stack: Stack, identity: Identity) -> dict[str, str]:
    """The settings with which the herd signs its unicorns in; see `service.local.herd`."""
    return {
        "HERD_API_URL": stack.web_url,
        "HERD_LOGIN_URL": stack.aws_url,
        "HERD_CLIENT_ID": identity.web_client_id,
        "HERD_REDIRECT_URI": redirects(stack)[0],
        "HERD_PASSWORD": stack.secrets.demo_password,
    }
