"""Callers with an IAM role: their signed questions to STS, as botocore signs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from service.auth.sts import BODY
from tests.support.token_mint import base64url

AUDIENCE = "https://rides.example.com"
REGION = "us-east-1"
SESSION = Credentials("ASIATESTTESTTESTTEST", "secret", "session-token")


def signed_headers(
    url: str,
    *,
    credentials: Credentials = SESSION,
    region: str = REGION,
    service: str = "sts",
    body: bytes = BODY,
    audience: str = AUDIENCE,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers of a question signed now."""
    given = {"Content-Type": "application/x-www-form-urlencoded", "X-WildRydes-Audience": audience}
    request = AWSRequest("POST", url, headers=given | dict(headers or {}), data=body)
    SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers)


def credential(headers: Mapping[str, object]) -> str:
    """What follows the scheme `WildRydes-IAM`."""
    return base64url(json.dumps(headers).encode())


def signed_at(headers: Mapping[str, str]) -> int:
    date = datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    return int(date.replace(tzinfo=UTC).timestamp())
