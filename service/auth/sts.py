"""Sends a signed `GetCallerIdentity` request to STS and returns who signed it.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from service import addresses
from service.auth.errors import AuthUnavailable, InvalidToken, NotCheckedNow
from service.breaker import Breaker
from service.outbound import Outbound, RequestFailed

logger = logging.getLogger(__name__)

BODY: Final = b"Action=GetCallerIdentity&Version=2011-06-15"

LARGEST_ANSWER_BYTES: Final = 16 * 1024
MOST_AT_ONCE: Final = 8
"""The most calls to STS at the same time; limited because anybody can cause a call."""
PAUSE_SECONDS: Final = 1.0
"""How long nobody calls STS after it failed, so that requests do not queue up for it."""
RETRY_AFTER_SECONDS: Final = 1

DEADLINE_SECONDS: Final = 3.0
_SUFFIXES: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}
_THROTTLED: Final = frozenset({b"Throttling", b"ThrottlingException", b"RequestLimitExceeded"})
_CODE: Final = re.compile(rb"<Code>(\w+)</Code>")
_ARN: Final = re.compile(
    rb"\s*(?:<\?xml[^<>]*\?>)?\s*<GetCallerIdentityResponse[^<>]*>\s*<GetCallerIdentityResult>"
    rb"(?:\s*<(?:UserId|Account)>[^<>]*</(?:UserId|Account)>)*\s*<Arn>([^<>]+)</Arn>"
)
"""Matches the answer from its beginning, so that an ARN in any other place does not count."""


class Sts:
    """The regional endpoint of STS, or `endpoint`. Threads may share it; forked processes may not.

    The constructor raises `ValueError` for an endpoint that is neither HTTPS nor on this machine.
    """

    def __init__(
        self, region: str, endpoint: str = "", monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        suffix = _SUFFIXES.get(region.partition("-")[0], "amazonaws.com")
        parts = urlsplit(addresses.protected_url(endpoint or f"https://sts.{region}.{suffix}"))
        self.region = region
        self.host = parts.netloc
        self._url = f"{parts.scheme}://{parts.netloc}/"
        self._outbound = Outbound(connections=MOST_AT_ONCE)
        self._slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._breaker = Breaker(PAUSE_SECONDS, monotonic)

    def caller(self, headers: Mapping[str, str]) -> str:
        """The ARN of the caller that signed `BODY` with these headers. One remote call.

        Raises `InvalidToken` if STS refuses the headers, `AuthUnavailable` if it fails,
        `NotCheckedNow` if too many calls are under way or STS does not check this caller now.
        """
        if self._breaker.is_open:
            raise AuthUnavailable(RETRY_AFTER_SECONDS)
        if not self._slots.acquire(blocking=False):
            raise NotCheckedNow(RETRY_AFTER_SECONDS)
        try:
            status, answer = self._post(headers)
        except RequestFailed as error:
            raise self._unavailable(str(error)) from None
        finally:
            self._slots.release()
        if status == 200:
            return self._arn(answer)
        if not 400 <= status < 500:
            raise self._unavailable(f"answered {status}")
        code = _CODE.search(answer) if status in {400, 403} else None
        if code is None or code[1] in _THROTTLED:
            # No pause here: one caller can cause this answer and must not stop the others.
            raise NotCheckedNow(RETRY_AFTER_SECONDS)
        raise InvalidToken(f"STS: {code[1].decode()}")

    def _post(self, headers: Mapping[str, str]) -> tuple[int, bytes]:
        return self._outbound.request(
            "POST",
            self._url,
            body=BODY,
            headers=headers,
            seconds=DEADLINE_SECONDS,
            most_bytes=LARGEST_ANSWER_BYTES,
        )

    def _arn(self, answer: bytes) -> str:
        found = _ARN.match(answer)
        if found is None:
            raise self._unavailable("answered something else")
        return found[1].decode("ascii", "replace")

    def _unavailable(self, cause: str) -> AuthUnavailable:
        logger.warning("STS failed", extra={"cause": cause})
        self._breaker.trip()
        return AuthUnavailable(RETRY_AFTER_SECONDS)
