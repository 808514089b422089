"""A rider's way from the sign-up to temporary credentials, the same for an emulator and for AWS.

What an emulator does not do is asked of the `Cloud` first, and done by the walk in its place.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import boto3
import pytest
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from PIL import Image

from service.local import triggers
from tests.support import srp
from tests.support.infrastructure import RedisServer, wait_until
from tests.support.stack import Stack

PASSWORD: Final = "Aa1-correct-horse"
DOMAIN: Final = "example.com"
REDIRECT: Final = "http://127.0.0.1:8080/"
PICKUP: Final = {"latitude": 40.7128, "longitude": -74.006}
JAPANESE: Final = "このドメイン"
"""How the refusal of a domain begins."""


class Cloud(Protocol):
    """An AWS account, real or emulated."""

    region: str
    prefix: str
    """Of the names of everything that is made."""
    resolves_policy_variables: bool
    environment: Mapping[str, str]
    """What a process needs to talk to this AWS."""
    idp_url: str
    """Where the user pool's public calls go."""

    def client(self, service: str) -> Any: ...

    def deploy(self, template: str, **parameters: str) -> dict[str, str]: ...

    def dynamodb_client(self) -> Any: ...


@dataclass
class Walk:
    """What was deployed, and the service in front of it."""

    cloud: Cloud
    data: Mapping[str, str]
    identity: Mapping[str, str]
    stack: Stack
    subs: dict[str, str] = field(default_factory=dict)

    @property
    def pool(self) -> str:
        return self.data["UserPoolId"]

    @property
    def provider(self) -> str:
        return f"cognito-idp.{self.cloud.region}.amazonaws.com/{self.pool}"

    def sign_up(self, address: str, language: str = "ja") -> str:
        """The `sub` of a new user; raises `AssertionError` with the pool's refusal."""
        attributes = {"email": address, "locale": language, "given_name": "Ada"}
        answer = srp.call(
            self.cloud.idp_url,
            "SignUp",
            ClientId=self.data["RiderClientId"],
            Username=address,
            Password=PASSWORD,
            UserAttributes=[{"Name": key, "Value": value} for key, value in attributes.items()],
        )
        self.subs[address] = answer["UserSub"]
        return str(answer["UserSub"])

    def invite(self, address: str, group: str) -> str:
        """The `sub` of a confirmed user in this group."""
        cognito, user = self.cloud.client("cognito-idp"), {"Username": address}
        cognito.admin_create_user(
            UserPoolId=self.pool,
            MessageAction="SUPPRESS",
            UserAttributes=[
                {"Name": "email", "Value": address},
                {"Name": "email_verified", "Value": "true"},
            ],
            **user,
        )
        cognito.admin_set_user_password(
            UserPoolId=self.pool, Password=PASSWORD, Permanent=True, **user
        )
        cognito.admin_add_user_to_group(UserPoolId=self.pool, GroupName=group, **user)
        found = cognito.admin_get_user(UserPoolId=self.pool, **user)["UserAttributes"]
        return str(next(each["Value"] for each in found if each["Name"] == "sub"))

    def sign_in(self, client: str, address: str) -> Mapping[str, str]:
        """Tokens by SRP, as an app with a login form of its own gets them."""
        client_id = self.data[f"{client}ClientId"]
        found: Mapping[str, str] = srp.sign_in(
            self.cloud.idp_url, self.pool, client_id, address, PASSWORD
        )
        return found

    def credentials(self, id_token: str) -> tuple[str, Any]:
        """The user's identity, and a client of S3 with its temporary credentials."""
        public = boto3.client(
            "cognito-identity",
            region_name=self.cloud.region,
            endpoint_url=self.cloud.environment.get("AWS_ENDPOINT_URL_COGNITO_IDENTITY"),
            config=Config(signature_version=UNSIGNED),
        )
        logins = {self.provider: id_token}
        identity = public.get_id(IdentityPoolId=self.identity["IdentityPoolId"], Logins=logins)
        found = public.get_credentials_for_identity(
            IdentityId=identity["IdentityId"], Logins=logins
        )["Credentials"]
        s3 = boto3.client(
            "s3",
            region_name=self.cloud.region,
            endpoint_url=self.cloud.environment.get("AWS_ENDPOINT_URL_S3"),
            aws_access_key_id=found["AccessKeyId"],
            aws_secret_access_key=found["SecretKey"],
            aws_session_token=found["SessionToken"],
        )
        return identity["IdentityId"], s3

    def grant(self, identity_id: str) -> None:
        """Where policy variables are not resolved, write the identity into the riders' policy.

        And where the pool chooses no role by rules, make theirs the authenticated one.
        """
        if self.cloud.resolves_policy_variables:
            return
        iam = self.cloud.client("iam")
        (role,) = (
            each["RoleName"]
            for each in iam.list_roles()["Roles"]
            if "RiderRole" in each["RoleName"]
        )
        policy = iam.get_role_policy(RoleName=role, PolicyName="photo")["PolicyDocument"]
        variable = "${cognito-identity.amazonaws.com:sub}"
        text = json.dumps(policy)
        assert variable in text
        iam.put_role_policy(
            RoleName=role, PolicyName="photo", PolicyDocument=text.replace(variable, identity_id)
        )
        self.cloud.client("cognito-identity").set_identity_pool_roles(
            IdentityPoolId=self.identity["IdentityPoolId"],
            Roles={"authenticated": iam.get_role(RoleName=role)["Role"]["Arn"]},
        )

    def refused_after(self, token: str) -> float:
        """Seconds until the API refuses this token; fails after 5 s."""
        began = time.monotonic()
        wait_until(
            lambda: self.stack.call("GET", "/v1/me", token=token).status == 401,
            "the refusal of the token",
            5.0,
        )
        return time.monotonic() - began


def placed_in(region: str) -> dict[str, Any]:
    """How S3 is told where a new bucket goes; it refuses to hear of us-east-1, its own default.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    """
    if region == "us-east-1":
        return {}
    return {"CreateBucketConfiguration": {"LocationConstraint": region}}


@contextmanager
def deployed(cloud: Cloud, folder: Path, **parameters: str) -> Iterator[Walk]:
    """The pool with its triggers, the identity pool, and the service as processes of here."""
    data = cloud.deploy(
        "data.yaml",
        RiderUrls=REDIRECT,
        DriverUrls=REDIRECT,
        ConsoleUrls=REDIRECT,
        LoginDomain=f"{cloud.prefix}-walk",
        Triggers=f"{cloud.prefix}-identity",
        **parameters,
    )
    s3, code = cloud.client("s3"), f"{cloud.prefix}-walk-code"
    s3.create_bucket(Bucket=code, **placed_in(cloud.region))
    s3.put_object(Bucket=code, Key="triggers.zip", Body=triggers.archive())
    identity = cloud.deploy(
        "identity.yaml",
        CodeBucket=code,
        CodeKey="triggers.zip",
        AllowedEmailDomains=DOMAIN,
        AlarmTopic=f"arn:aws:sns:{cloud.region}:000000000000:none",
        **{
            name: data[name]
            for name in (
                "UserPoolId",
                "RiderClientId",
                "DriverClientId",
                "ConsoleClientId",
                "OperationsTable",
            )
        },
    )
    issuer = f"https://cognito-idp.{cloud.region}.amazonaws.com/{data['UserPoolId']}"
    keys = f"{cloud.idp_url}/{data['UserPoolId']}/.well-known/jwks.json"
    with RedisServer(folder / "redis") as redis:
        stack = Stack(
            folder,
            cloud,  # type: ignore[arg-type] # a real account is no emulator
            redis,
            roles=("web", "worker", "beat", "media"),
            AUTH_JWKS_FILE="",
            COGNITO_ISSUERS=issuer,
            COGNITO_JWKS_URL=keys,
            COGNITO_USER_POOL_ID=data["UserPoolId"],
            COGNITO_CLIENT_IDS=data["ClientIds"],
            RIDES_TABLE=data["RidesTable"],
            UNICORNS_TABLE=data["UnicornsTable"],
            OPERATIONS_TABLE=data["OperationsTable"],
            PHOTOS_BUCKET=identity["PhotosBucket"],
            IDENTITY_POOL_ID=identity["IdentityPoolId"],
        )
        with stack:
            yield Walk(cloud, data, identity, stack)


def a_photo() -> bytes:
    """A picture that says where it was taken."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (40.0, 42.0, 46.0)})
    written = io.BytesIO()
    Image.new("RGB", (600, 400), "purple").save(written, "JPEG", exif=exif)
    return written.getvalue()


def ride_with_photo(walk: Walk, tokens: Mapping[str, str], access: str) -> None:
    """A ride is matched, the photo uploaded with temporary credentials and seen by the driver."""
    call = walk.stack.call
    ride_id, driver = matched(walk, access)
    identity_id, _ = walk.credentials(tokens["IdToken"])
    walk.grant(identity_id)
    _, s3 = walk.credentials(tokens["IdToken"])
    wanted = {"content_type": "image/jpeg", "id_token": tokens["IdToken"]}
    form = call("POST", "/v1/me/photo", wanted, token=access)
    assert form.status == 200, form.json
    assert form.json["fields"]["key"] == f"private/{identity_id}/photo"

    bucket = walk.identity["PhotosBucket"]
    foreign = f"private/{walk.cloud.region}:00000000-0000-4000-8000-000000000000/photo"
    for key in (foreign, f"private/{identity_id}/more", "photos/anything"):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.put_object(Bucket=bucket, Key=form.json["fields"]["key"], Body=a_photo())

    seen = f"/v1/fleet/me/rides/{ride_id}/photo"
    wait_until(
        lambda: call("GET", seen, token=driver).status == 200,
        f"the cleaning of the photo\n{walk.stack.log('media')}",
    )
    link = call("GET", seen, token=driver).json["url"]
    answer = urllib3.request("GET", link, timeout=10)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert b"Exif" not in answer.data
    assert call("GET", "/v1/me", token=access).json["photo"]
    for step in ("arrive", "start", "complete"):
        assert call("POST", f"/v1/fleet/me/rides/{ride_id}/{step}", token=driver).status == 200
    assert call("GET", seen, token=driver).status == 404


def matched(walk: Walk, access: str) -> tuple[str, str]:
    """A ride of this rider that is matched, and its driver's token."""
    call = walk.stack.call
    driver_sub = walk.invite(f"driver@{DOMAIN}", "unicorns")
    walk.invite(f"admin@{DOMAIN}", "admin")
    admin = walk.sign_in("Console", f"admin@{DOMAIN}")["AccessToken"]
    driver = walk.sign_in("Driver", f"driver@{DOMAIN}")["AccessToken"]
    unicorn = {"name": "Shadowfax", "color": "White", "gender": "Male", "location": PICKUP}
    enrolled = call(
        "POST", "/v1/admin/unicorns", unicorn | {"account_sub": driver_sub}, token=admin
    )
    assert enrolled.status == 201, enrolled.json
    call("PUT", "/v1/fleet/me/availability", {"available": True}, token=driver)
    ride = call("POST", "/v1/rides", {"pickup": PICKUP}, token=access, Prefer="wait=10")
    assert (ride.status, ride.json["status"]) == (201, "matched"), ride.json
    return ride.json["ride_id"], driver
