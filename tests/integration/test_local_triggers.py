"""The development stack's pool calls the real handlers of the triggers that MiniStack knows."""

from __future__ import annotations

from collections.abc import Iterator

import jwt
import pytest

from service.local.identity import Identity
from service.local.provisioning import provision
from service.settings import Settings
from tests.support import srp
from tests.support.infrastructure import CREDENTIALS, MiniStack

PASSWORD = "Aa1-correct-horse"
TRIGGERED = {"ALLOWED_EMAIL_DOMAINS": "example.com"}


@pytest.fixture(scope="module")
def own_ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    """A MiniStack of its own, because the shared pool of the tests has no triggers."""
    with MiniStack(tmp_path_factory.mktemp("triggers")) as ministack:
        yield ministack


@pytest.fixture(scope="module")
def identity(own_ministack: MiniStack) -> Identity:
    settings = Settings(aws_region="us-east-1", redis_url="redis://127.0.0.1:1/0")
    redirects = ["http://127.0.0.1:8080/"]
    for _ in range(2):
        identity = provision(
            own_ministack.url, CREDENTIALS, settings, PASSWORD, redirects, triggered=TRIGGERED
        )
    return identity


@pytest.mark.parametrize(
    ("user", "scopes"),
    [
        ("rider", {"wildrydes/rides.read", "wildrydes/rides.write"}),
        ("unicorn", {"wildrydes/fleet.drive"}),
        ("dispatcher", {"wildrydes/admin"}),
    ],
)
def test_a_sign_in_by_srp_brings_the_scopes_of_the_users_group(
    own_ministack: MiniStack, identity: Identity, user: str, scopes: set[str]
) -> None:
    url, client_id = own_ministack.url, identity.web_client_id
    token = srp.sign_in(url, identity.pool_id, client_id, user, PASSWORD)["AccessToken"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims["scope"].split()) == {"aws.cognito.signin.user.admin", *scopes}


@pytest.mark.parametrize(
    ("address", "says"),
    [("stranger@elsewhere.test", "cannot sign up here"), ("rider@example.com", "already")],
)
def test_a_sign_up_is_refused_in_words(
    own_ministack: MiniStack, identity: Identity, address: str, says: str
) -> None:
    with pytest.raises(AssertionError, match=says):
        srp.call(
            own_ministack.url,
            "SignUp",
            ClientId=identity.web_client_id,
            Username="somebody",
            Password=PASSWORD,
            UserAttributes=[{"Name": "email", "Value": address}],
        )
