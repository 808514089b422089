"""The development pool: provisioned twice, and signed in to as apps do it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from botocore import xform_name
from urllib3 import request

from service.local.environment import identity_settings
from service.local.identity import MACHINE_SCOPES, USER_SCOPES, Identity
from service.local.login import Login, LoginFailed
from service.local.provisioning import jwks_url, provision
from service.settings import Settings
from tests.support import srp
from tests.support.api import build_api
from tests.support.aws_commands import operation_of, parameters_of, read
from tests.support.infrastructure import CREDENTIALS, PROJECT, MiniStack

PASSWORD = "Aa1-correct-horse"
REDIRECT = "http://127.0.0.1:8080/"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(
        aws_region="us-east-1",
        redis_url="redis://127.0.0.1:1/0",
        rides_table="Rides-identity",
        unicorns_table="Unicorns-identity",
        operations_table="Operations-identity",
    )


@pytest.fixture(scope="module")
def identity(ministack: MiniStack, settings: Settings) -> Identity:
    return provision(ministack.url, CREDENTIALS, settings, PASSWORD, [REDIRECT])


@pytest.fixture
def login(ministack: MiniStack, identity: Identity) -> Login:
    return Login(ministack.url, identity.web_client_id, REDIRECT)


def claims(ministack: MiniStack, identity: Identity, token: str) -> dict[str, Any]:
    """Verified against the keys the pool publishes."""
    key = jwt.PyJWKClient(jwks_url(ministack.url, identity)).get_signing_key_from_jwt(token)
    decoded: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"])
    return decoded


def test_provisioning_again_changes_nothing(
    ministack: MiniStack, settings: Settings, identity: Identity
) -> None:
    again = provision(ministack.url, CREDENTIALS, settings, "Aa1-another", [REDIRECT])
    assert again == identity


def test_new_redirects_reach_a_client_that_exists(
    ministack: MiniStack, settings: Settings, identity: Identity
) -> None:
    elsewhere = "http://127.0.0.1:9999/"
    provision(ministack.url, CREDENTIALS, settings, PASSWORD, [REDIRECT, elsewhere])
    login = Login(ministack.url, identity.web_client_id, elsewhere)
    assert login.sign_in("rider", PASSWORD, USER_SCOPES["rider"]).access_token


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ("rider", ["riders"]),
        ("admin", ["admin"]),
        ("dispatcher", ["dispatcher"]),
        ("unicorn", ["unicorns"]),
    ],
)
def test_a_user_gets_the_scopes_of_its_app_and_its_group(
    ministack: MiniStack, identity: Identity, login: Login, user: str, groups: Sequence[str] | None
) -> None:
    token = login.sign_in(user, PASSWORD, USER_SCOPES[user]).access_token
    said = claims(ministack, identity, token)
    assert said["sub"] == identity.subs[user]
    assert said["client_id"] == identity.web_client_id
    assert set(said["scope"].split(" ")) == set(USER_SCOPES[user])
    assert said.get("cognito:groups") == groups


def test_a_driver_gets_the_scope_of_the_workshops_second_page(
    ministack: MiniStack, identity: Identity, login: Login
) -> None:
    token = login.sign_in("unicorn", PASSWORD, ("UnicornManager/unicorn",)).access_token
    assert claims(ministack, identity, token)["scope"] == "UnicornManager/unicorn"


@pytest.mark.parametrize(("user", "group"), [("rider", "riders"), ("admin", "admin")])
def test_a_token_refreshed_twice_keeps_scopes_and_groups(
    ministack: MiniStack, identity: Identity, login: Login, user: str, group: str
) -> None:
    tokens = login.sign_in(user, PASSWORD, USER_SCOPES[user])
    for _ in range(2):
        assert tokens.refresh_token
        tokens = login.refresh(tokens.refresh_token)
        said = claims(ministack, identity, tokens.access_token)
        assert said["cognito:groups"] == [group]
        assert set(said["scope"].split(" ")) == set(USER_SCOPES[user])


@pytest.mark.parametrize("typed", ["rider", "rider@example.com", "rider-at-example.com"])
def test_a_page_signs_in_by_srp_without_credentials(
    ministack: MiniStack, identity: Identity, typed: str
) -> None:
    """The user types the user name, the address, or what the workshop's page makes of it."""
    client_id = identity.web_client_id
    result = srp.sign_in(ministack.url, identity.pool_id, client_id, typed, PASSWORD)
    said = claims(ministack, identity, result["AccessToken"])
    assert said["sub"] == identity.subs["rider"]
    # Which is why the API needs a sign-in by the login page: SRP brings no scopes of ours.
    assert said["scope"] == "aws.cognito.signin.user.admin"


def test_a_machine_token_names_no_user(ministack: MiniStack, identity: Identity) -> None:
    login = Login(ministack.url, identity.machine_client_id, "")
    token = login.as_machine(identity.machine_secret, MACHINE_SCOPES).access_token
    said = claims(ministack, identity, token)
    assert said["sub"] == said["client_id"] == identity.machine_client_id
    assert said["scope"] == "wildrydes/fleet.telemetry"
    assert "username" not in said


def test_a_wrong_password_gives_no_token(login: Login) -> None:
    with pytest.raises(LoginFailed, match="did not sign in rider"):
        login.sign_in("rider", "Aa1-wrong", USER_SCOPES["rider"])


def test_a_scope_the_client_may_not_ask_for_is_refused(login: Login) -> None:
    with pytest.raises(LoginFailed, match="invalid_scope"):
        login.sign_in("rider", PASSWORD, MACHINE_SCOPES)


def test_the_pool_describes_itself_and_signs_people_in_where_the_api_says(
    ministack: MiniStack, identity: Identity
) -> None:
    told = {
        name.lower(): value for name, value in identity_settings(ministack.url, identity).items()
    }
    api = build_api(**told)
    schemes = api.call("GET", "/openapi.json", token=None).json["components"]["securitySchemes"]
    described = request("GET", schemes["cognito"]["openIdConnectUrl"]).json()
    flow = schemes["oauth2"]["flows"]["authorizationCode"]
    assert described["authorization_endpoint"] == flow["authorizationUrl"]
    assert described["token_endpoint"] == flow["tokenUrl"]
    metadata = api.call("GET", "/.well-known/oauth-protected-resource", token=None).json
    (server,) = metadata["authorization_servers"]
    assert request("GET", f"{server}/.well-known/openid-configuration").status == 200


def test_a_new_group_takes_a_user_in_by_the_commands_of_the_page(
    ministack: MiniStack, identity: Identity
) -> None:
    cognito = ministack.client("cognito-idp")
    user = cognito.admin_create_user(
        UserPoolId=identity.pool_id, Username="night-worker", MessageAction="SUPPRESS"
    )["User"]
    (sub,) = (each["Value"] for each in user["Attributes"] if each["Name"] == "sub")
    page = (PROJECT / "service/identity/README.md").read_text()
    commands = page.partition("**A group.**")[2].partition("**An identity provider.**")[0]
    typed = [read(line) for line in re.findall(r"^aws .*", commands, re.M)]
    assert [call.operation for call in typed] == ["create-group", "admin-add-user-to-group"]
    for call in typed:
        values = {"$POOL": identity.pool_id, "$SUB": sub}
        sent = {name: values.get(value, value) for name, value in parameters_of(call).items()}
        getattr(cognito, xform_name(operation_of(call)))(**sent)
    groups = cognito.admin_list_groups_for_user(UserPoolId=identity.pool_id, Username=sub)["Groups"]
    assert [group["GroupName"] for group in groups] == ["night-shift"]
