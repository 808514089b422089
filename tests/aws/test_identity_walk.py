"""The walk of tests/integration/test_identity_walk.py in a real AWS account: `make test-aws`.

It has never been run, because there was no account. It creates stacks, a bucket and users under a
prefix of its own and deletes them. It needs credentials that may do that (`AWS_PROFILE` or `AWS_…`)
and `AWS_REGION`. Nobody reads mail here: the test calls the deployed function for the message, and
confirms the user as an administrator. Instead of the login page it signs in by SRP twice.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import jwt
import pytest

from tests.support import identity_walk
from tests.support.cognito_events import an_event
from tests.support.identity_walk import DOMAIN, JAPANESE, Walk
from tests.support.templates import ECS

KEPT = "Retain"


class RealAccount:
    """The account of the caller's credentials. All names have one prefix."""

    resolves_policy_variables = True

    def __init__(self) -> None:
        self.region = os.environ["AWS_REGION"]
        self.prefix = f"wildrydes-{uuid.uuid4().hex[:8]}"
        self._made: list[str] = []

    @property
    def environment(self) -> Mapping[str, str]:
        given = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        home = {"HOME": os.environ.get("HOME", "")}  # where a profile's credentials are
        return {**home, **given, "AWS_DEFAULT_REGION": self.region}

    @property
    def idp_url(self) -> str:
        return f"https://cognito-idp.{self.region}.amazonaws.com"

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=self.region)  # type: ignore[call-overload]

    def dynamodb_client(self) -> Any:
        return self.client("dynamodb")

    def deploy(self, template: str, **parameters: str) -> dict[str, str]:
        name, formation = f"{self.prefix}-{Path(template).stem}", self.client("cloudformation")
        formation.create_stack(
            StackName=name,
            TemplateBody=(ECS / template).read_text(),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        self._made.append(name)
        formation.get_waiter("stack_create_complete").wait(StackName=name)
        (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    def remove(self) -> None:
        """Delete the stacks, then what the templates keep on purpose, then the code's bucket.

        A deletion that fails is raised at the end, when everything else was tried.
        """
        with ExitStack() as deletions:  # called last in, first out, whatever one of them raises
            deletions.callback(self._remove, "AWS::S3::Bucket", f"{self.prefix}-walk-code")
            for name in self._made:
                deletions.callback(self._remove_stack, name)

    def _remove_stack(self, name: str) -> None:
        formation = self.client("cloudformation")
        resources = formation.describe_stack_resources(StackName=name)["StackResources"]
        with ExitStack() as deletions:
            for resource in resources:
                if made := resource.get("PhysicalResourceId"):
                    deletions.callback(self._remove, resource["ResourceType"], made)
            formation.delete_stack(StackName=name)
            formation.get_waiter("stack_delete_complete").wait(StackName=name)

    def _remove(self, kind: str, name: str) -> None:
        match kind:
            case "AWS::DynamoDB::Table":
                table = self.client("dynamodb")
                table.update_table(TableName=name, DeletionProtectionEnabled=False)
                table.delete_table(TableName=name)
            case "AWS::Cognito::UserPool":
                pool = self.client("cognito-idp")
                pool.update_user_pool(UserPoolId=name, DeletionProtection="INACTIVE")
                pool.delete_user_pool(UserPoolId=name)
            case "AWS::S3::Bucket":
                bucket = boto3.resource("s3", region_name=self.region).Bucket(name)
                bucket.objects.all().delete()
                bucket.delete()


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    account, folder = RealAccount(), tmp_path_factory.mktemp("aws")
    try:
        with identity_walk.deployed(account, folder) as walk:
            yield walk
    finally:
        account.remove()


def written_message(walk: Walk, rider: str) -> str:
    """The mail with the code that the deployed function writes for this rider."""
    event = an_event("CustomMessage_SignUp", {"email": rider, "locale": "ja"})
    invoked = walk.cloud.client("lambda").invoke(
        FunctionName=f"{walk.cloud.prefix}-identity-CustomMessage",
        Payload=json.dumps({**event, "userPoolId": walk.pool, "userName": walk.subs[rider]}),
    )
    return str(json.load(invoked["Payload"])["response"]["emailMessage"])


@pytest.mark.timeout(1800)
def test_from_a_refused_sign_up_to_a_refused_token(walk: Walk) -> None:
    with pytest.raises(AssertionError) as refused:
        walk.sign_up("rider@elsewhere.test")
    assert JAPANESE.encode() in refused.value.args[0]
    rider = f"rider@{DOMAIN}"
    walk.sign_up(rider)
    assert "確認コードは {####} です" in written_message(walk, rider)
    cognito = walk.cloud.client("cognito-idp")
    cognito.admin_confirm_sign_up(UserPoolId=walk.pool, Username=rider)
    groups = cognito.admin_list_groups_for_user(UserPoolId=walk.pool, Username=rider)["Groups"]
    assert [group["GroupName"] for group in groups] == ["riders"]

    tokens = walk.sign_in("Rider", rider)
    other = walk.sign_in("Rider", rider)
    claims = jwt.decode(tokens["AccessToken"], options={"verify_signature": False})
    assert {"wildrydes/rides.read", "wildrydes/rides.write"} <= set(claims["scope"].split())
    identity_walk.ride_with_photo(walk, tokens, tokens["AccessToken"])
    body = {"refresh_token": tokens["RefreshToken"]}
    signed_out = walk.stack.call("POST", "/v1/me/sign-out", body, token=tokens["AccessToken"])
    assert signed_out.status == 204
    print(f"sign-out: token refused after {walk.refused_after(tokens['AccessToken']):.2f} s")
    with pytest.raises(cognito.exceptions.NotAuthorizedException):
        cognito.get_tokens_from_refresh_token(
            RefreshToken=tokens["RefreshToken"], ClientId=walk.data["RiderClientId"]
        )
    assert walk.stack.call("GET", "/v1/me", token=other["AccessToken"]).status == 200
