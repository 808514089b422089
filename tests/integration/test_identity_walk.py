"""One rider's way on the emulator: from a refused sign-up to a refused token.

MiniStack calls neither the trigger after the confirmation nor the one for a sign-up's message:
the walk calls those handlers with AWS's event shape, against the same pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner

from service.command.main import main as commands
from service.identity import aws, custom_message, post_confirmation, sign_in
from service.identity.events import Refused
from service.local.login import Login, LoginFailed
from tests.support import identity_walk, srp
from tests.support.aws_account import Account
from tests.support.cognito_events import an_event
from tests.support.identity_walk import DOMAIN, JAPANESE, PASSWORD, REDIRECT, Walk

RIDER = f"rider@{DOMAIN}"
SCOPES = {"wildrydes/rides.read", "wildrydes/rides.write"}


class Emulated(Account):
    """The emulator in place of an AWS account."""

    prefix = "walk"
    resolves_policy_variables = False

    @property
    def idp_url(self) -> str:
        return self.url

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY": self.url,
        }

    def deploy(self, template: str, **parameters: str) -> dict[str, str]:
        outputs = self.create(template, f"{self.prefix}-{Path(template).stem}", **parameters)
        if "PhotosBucket" in outputs:
            # The bucket asks for TLS, which the emulator does not speak.
            self.client("s3").delete_bucket_policy(Bucket=outputs["PhotosBucket"])
        return outputs


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("identity")
    with (
        Emulated(folder / "aws") as account,
        # The emulator knows no AWS::Cognito::ManagedLoginBranding.
        identity_walk.deployed(account, folder, Branding="false") as walk,
    ):
        yield walk


@pytest.fixture
def _pool_for_handlers(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Handlers that are called here find the walk's pool."""
    for name, value in walk.cloud.environment.items():
        monkeypatch.setenv(name, value)
    aws.client.cache_clear()
    yield
    aws.client.cache_clear()


def event_of(walk: Walk, source: str, **attributes: str) -> dict[str, Any]:
    """An event about the walk's rider."""
    event = an_event(source, {"email": RIDER, "locale": "ja", **attributes})
    return {**event, "userPoolId": walk.pool, "userName": walk.subs[RIDER]}


def scopes_of(token: str) -> set[str]:
    claims = jwt.decode(token, options={"verify_signature": False})
    return {scope for scope in claims["scope"].split() if scope.startswith("wildrydes/")}


@pytest.mark.usefixtures("_pool_for_handlers")
def test_from_a_refused_sign_up_to_a_refused_token(walk: Walk) -> None:
    with pytest.raises(AssertionError) as refused:
        walk.sign_up("rider@elsewhere.test")
    assert JAPANESE.encode() in refused.value.args[0]

    walk.sign_up(RIDER)
    written = custom_message.handle(event_of(walk, "CustomMessage_SignUp"), None)["response"]
    assert "確認コードは {####} です" in written["emailMessage"]
    srp.call(
        walk.cloud.idp_url,
        "ConfirmSignUp",
        ClientId=walk.data["RiderClientId"],
        Username=RIDER,
        ConfirmationCode="123456",
    )
    post_confirmation.handle(event_of(walk, post_confirmation.SIGNED_UP), None)
    sign_in.before(event_of(walk, sign_in.BEFORE), None)

    login = Login(walk.cloud.idp_url, walk.data["RiderClientId"], REDIRECT)
    by_page = login.sign_in(RIDER, PASSWORD, ["openid", *sorted(SCOPES)])
    tokens = walk.sign_in("Rider", RIDER)
    assert scopes_of(by_page.access_token) == scopes_of(tokens["AccessToken"]) == SCOPES

    assert scopes_of(login.refresh(tokens["RefreshToken"]).access_token) == SCOPES
    identity_walk.ride_with_photo(walk, tokens, tokens["AccessToken"])
    body = {"refresh_token": tokens["RefreshToken"]}
    signed_out = walk.stack.call("POST", "/v1/me/sign-out", body, token=tokens["AccessToken"])
    assert signed_out.status == 204
    print(f"sign-out: token refused after {walk.refused_after(tokens['AccessToken']):.2f} s")
    with pytest.raises(LoginFailed):
        login.refresh(tokens["RefreshToken"])
    # The other session of the same rider goes on.
    assert walk.stack.call("GET", "/v1/me", token=by_page.access_token).status == 200


@pytest.mark.usefixtures("_pool_for_handlers")
@pytest.mark.parametrize("command", ["suspend", "leave"])
def test_a_right_that_was_taken_away_ends_within_five_seconds(walk: Walk, command: str) -> None:
    address = f"{command}@{DOMAIN}"
    sub = walk.invite(address, "riders")
    token = walk.sign_in("Rider", address)["AccessToken"]
    assert walk.stack.call("GET", "/v1/me", token=token).status == 200
    more = ["--group", "riders"] if command == "leave" else []
    result = CliRunner().invoke(
        commands, ["account", command, "--sub", sub, *more], env=walk.stack.environment
    )
    assert result.exit_code == 0, result.output
    print(f"{command}: token refused after {walk.refused_after(token):.2f} s")
    if command == "suspend":
        with pytest.raises(AssertionError, match="suspended"):
            walk.sign_in("Rider", address)
        with pytest.raises(Refused):
            sign_in.before(an_event(sign_in.BEFORE, {sign_in.SUSPENDED: "true"}), None)
        result = CliRunner().invoke(
            commands, ["account", "resume", "--sub", sub], env=walk.stack.environment
        )
        assert result.exit_code == 0, result.output
        assert walk.sign_in("Rider", address)["AccessToken"]
    else:
        assert scopes_of(walk.sign_in("Rider", address)["AccessToken"]) == set()


@pytest.mark.parametrize("command", ["suspend", "resume", "leave"])
def test_a_command_says_that_an_account_does_not_exist(walk: Walk, command: str) -> None:
    more = ["--group", "riders"] if command == "leave" else []
    result = CliRunner().invoke(
        commands, ["account", command, "--sub", "nobody", *more], env=walk.stack.environment
    )
    assert result.exit_code == 1
    assert "no account with this sub" in result.output
    assert ("tokens of this sub are revoked" in result.output) == (command != "resume")
    assert '"outcome"' not in result.output
    assert "nobody" not in result.stdout


@pytest.mark.usefixtures("_pool_for_handlers")
def test_an_account_deletes_itself(walk: Walk) -> None:
    address = f"leaving@{DOMAIN}"
    walk.invite(address, "riders")
    token = walk.sign_in("Rider", address)["AccessToken"]
    assert walk.stack.call("GET", "/v1/me/export", token=token).json["rides"] == []
    assert walk.stack.call("DELETE", "/v1/me", token=token).status == 204
    print(f"deletion: token refused after {walk.refused_after(token):.2f} s")
    with pytest.raises(AssertionError):
        walk.sign_in("Rider", address)
