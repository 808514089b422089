"""Roles that call, checked by the embedded AWS's own STS.

It verifies what AWS does: the signature over all signed headers and the body, the time, the access
key and its session token.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.credentials import Credentials

from service.auth.errors import AuthUnavailable, InvalidToken
from service.auth.iam import IamVerifier
from service.auth.principal import Principal
from service.auth.roles import RoleGrants
from service.auth.sts import Sts
from tests.support.iam_credentials import AUDIENCE, credential, signed_at, signed_headers
from tests.support.infrastructure import MiniStack

TELEMETRY = "wildrydes/fleet.telemetry"


def new_role(ministack: MiniStack) -> str:
    """The ARN of a role that anybody in the account may assume."""
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    answer = ministack.client("iam").create_role(
        RoleName=f"role-{uuid.uuid4().hex[:12]}",
        Path="/fleet/",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    arn: str = answer["Role"]["Arn"]
    return arn


def assume(ministack: MiniStack, role_arn: str) -> Credentials:
    answer = ministack.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="session-1")
    given = answer["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


@pytest.fixture(scope="module")
def role(ministack: MiniStack) -> str:
    return new_role(ministack)


@pytest.fixture(scope="module")
def session(ministack: MiniStack, role: str) -> Credentials:
    return assume(ministack, role)


@pytest.fixture
def verifier(ministack: MiniStack, role: str) -> IamVerifier:
    grants = RoleGrants({role: [TELEMETRY]})
    return IamVerifier(Sts(ministack.region, ministack.url), grants, audience=AUDIENCE)


def verify(verifier: IamVerifier, headers: dict[str, str]) -> Principal:
    return verifier.verify(credential(headers), signed_at(headers))


def test_a_session_of_a_granted_role_may_call(
    ministack: MiniStack, verifier: IamVerifier, role: str, session: Credentials
) -> None:
    principal = verify(verifier, signed_headers(ministack.url, credentials=session))
    assert principal.subject == role
    assert principal.client_id.endswith("/session-1")
    assert principal.scopes == {TELEMETRY}


def test_a_session_of_another_role_may_not(ministack: MiniStack, verifier: IamVerifier) -> None:
    other = assume(ministack, new_role(ministack))
    with pytest.raises(InvalidToken, match="not a role that may call"):
        verify(verifier, signed_headers(ministack.url, credentials=other))


@pytest.mark.parametrize(
    "forgery",
    [
        lambda real: Credentials(real.access_key, "another secret", real.token),
        lambda real: Credentials(real.access_key, real.secret_key, "another token"),
        lambda real: Credentials("ASIAUNKNOWNUNKNOWNUN", real.secret_key, real.token),
    ],
    ids=["secret", "token", "key"],
)
def test_forged_credentials_are_refused(
    ministack: MiniStack, verifier: IamVerifier, session: Credentials, forgery: Any
) -> None:
    with pytest.raises(InvalidToken, match="STS: "):
        verify(verifier, signed_headers(ministack.url, credentials=forgery(session)))


def test_a_signature_of_another_request_to_sts_is_refused(
    ministack: MiniStack, verifier: IamVerifier, session: Credentials
) -> None:
    body = b"Action=GetSessionToken&Version=2011-06-15"
    with pytest.raises(InvalidToken, match="STS: SignatureDoesNotMatch"):
        verify(verifier, signed_headers(ministack.url, credentials=session, body=body))


def test_a_signature_for_another_address_is_refused(
    verifier: IamVerifier, session: Credentials
) -> None:
    headers = signed_headers("https://sts.eu-west-1.amazonaws.com/", credentials=session)
    with pytest.raises(InvalidToken, match="STS: SignatureDoesNotMatch"):
        verify(verifier, headers)


def test_an_audience_put_in_after_signing_is_refused(
    ministack: MiniStack, verifier: IamVerifier, session: Credentials
) -> None:
    headers = signed_headers(ministack.url, credentials=session, audience="https://other.test")
    with pytest.raises(InvalidToken, match="STS: SignatureDoesNotMatch"):
        verify(verifier, headers | {"X-WildRydes-Audience": AUDIENCE})


def test_a_date_put_in_after_signing_is_refused(
    ministack: MiniStack, verifier: IamVerifier, session: Credentials
) -> None:
    headers = signed_headers(ministack.url, credentials=session)
    date = headers["X-Amz-Date"]
    later = f"{date[:-2]}{(int(date[-2]) + 1) % 10}Z"
    with pytest.raises(InvalidToken, match="STS: "):
        verify(verifier, headers | {"X-Amz-Date": later})


def test_an_answer_that_is_not_from_sts_counts_as_none(
    ministack: MiniStack, role: str, session: Credentials
) -> None:
    """The answer is the health page of the emulator: status 200 without a caller."""
    sts = Sts(ministack.region, ministack.url)
    sts._url = f"{ministack.url}/_ministack/health"
    verifier = IamVerifier(sts, RoleGrants({role: [TELEMETRY]}), audience=AUDIENCE)
    with pytest.raises(AuthUnavailable):
        verify(verifier, signed_headers(ministack.url, credentials=session))
