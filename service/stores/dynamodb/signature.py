"""Signs requests to DynamoDB (AWS Signature Version 4). Unlike botocore, it keeps signing keys.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED: Final = frozenset({"user-agent", "x-amzn-trace-id"})
"""Headers that are not signed, because a proxy may change them."""


def signed_headers(
    request: Mapping[str, Any], credentials: ReadOnlyCredentials, region: str, now: float
) -> dict[str, str]:
    """The headers of botocore's `request` to the path `/`, and the headers of its signature.

    `now`: seconds since 1970.
    """
    instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    headers: dict[str, str] = request["headers"] | {
        "Host": urlsplit(request["url"]).netloc,
        "X-Amz-Date": instant,
    }
    if credentials.token:
        headers["X-Amz-Security-Token"] = credentials.token
    signed = sorted(
        (low, headers[name]) for name in headers if (low := name.lower()) not in UNSIGNED
    )
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{value.strip()}\n" for name, value in signed)
    canonical = f"POST\n/\n\n{lines}\n{names}\n{sha256(request['body']).hexdigest()}"
    scope = f"{instant[:8]}/{region}/dynamodb/aws4_request"
    text = f"{ALGORITHM}\n{instant}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_key(credentials.secret_key, scope), text.encode(), "sha256").hex()
    credential = f"Credential={credentials.access_key}/{scope}"
    headers["Authorization"] = (
        f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


@lru_cache(8)
def _key(secret: str, scope: str) -> bytes:
    """The signing key of a scope: a day, a region and a service."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
