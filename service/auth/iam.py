"""Verifies callers that have an IAM role instead of a token, with the help of STS.

The caller signs a request for `sts:GetCallerIdentity` (SigV4) and sends us its headers. We send
that request to STS, which says whose signature it is. Address, method and body of the request are
ours and only the headers are the caller's, so a signature for any other request does not fit. One
signed header names this service, so a request signed for another service cannot be replayed here.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from service.auth.errors import InvalidToken, MalformedHeader
from service.auth.principal import Principal, TokenKind
from service.auth.roles import RoleGrants
from service.auth.sts import BODY, Sts
from service.auth.verifier import VerifiedTokens
from service.memory import BoundedMemory
from service.strict import base64url, read_json_object

AUDIENCE: Final = "x-wildrydes-audience"
LONGEST_CREDENTIAL: Final = 7 * 1024
OLDEST_SECONDS: Final = 5 * 60
_REMEMBERED: Final = 1000

_SCHEME: Final = "wildrydes-iam"
_REQUIRED: Final = frozenset({"host", "x-amz-date", "x-amz-security-token", AUDIENCE})
"""Headers that must be signed. Credentials of an assumed role always have a session token."""
_FORM: Final = "application/x-www-form-urlencoded"
_FIXED: Final[Mapping[str, frozenset[str]]] = {
    "content-type": frozenset({_FORM, f"{_FORM}; charset=utf-8"}),
    "content-length": frozenset({str(len(BODY))}),
    "x-amz-content-sha256": frozenset({sha256(BODY).hexdigest()}),
}
"""Headers that may be signed too, with their allowed values. Any other could change the request."""

_VISIBLE: Final = re.compile(r"[\x20-\x7e]+")
_DATE: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[A-Z0-9]{16,128}/(?P<date>[0-9]{8})/(?P<region>[a-z0-9-]+)"
    r"/sts/aws4_request, ?SignedHeaders=(?P<signed>[a-z0-9;-]+)"
    r", ?Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A well-formed, recent request to STS that names us. Only STS can check its signature."""

    headers: Mapping[str, str]
    signature: str
    signed_at: int


def credential_from(authorization: str | None, has_query_token: bool) -> str | None:
    """The credential after the scheme `WildRydes-IAM`; None if the header has another scheme.

    Raises `MalformedHeader`.
    """
    scheme, _, credential = (authorization or "").strip(" \t").partition(" ")
    if scheme.lower() != _SCHEME:
        return None
    credential = credential.lstrip(" ")
    if not credential or has_query_token or re.search(r"[ \t,]", credential):
        raise MalformedHeader("not exactly one credential")
    return credential


class IamVerifier:
    """Verifies the credential that `credential_from` returned. Safe to share between threads.

    `audience`: the value that the signed header `x-wildrydes-audience` must have. A caller
    that STS has named is remembered by the credential's digest until the credential is five minutes
    old; a refusal is remembered until newer ones replace it. The verifier does not check
    revocations: its caller does, on each request.
    """

    def __init__(
        self, sts: Sts, grants: RoleGrants, *, audience: str, leeway_seconds: int = 30
    ) -> None:
        self._sts = sts
        self._grants = grants
        self._audience = audience
        self._leeway_seconds = leeway_seconds
        self._verified = VerifiedTokens(_REMEMBERED)
        self._refused: BoundedMemory[bytes, str] = BoundedMemory(_REMEMBERED)
        self._pending: dict[bytes, Future[Principal]] = {}
        """The calls under way, by the credential's digest."""

    def verify(self, credential: str, now: float) -> Principal:
        """The calling role, as a machine principal. `now`: seconds since 1970.

        At most one remote call. Raises `InvalidToken`, or `AuthUnavailable` if STS gives no answer.
        """
        if len(credential) > LONGEST_CREDENTIAL or not credential.isascii():
            raise InvalidToken("too long, or not ASCII")
        raw = credential.encode()
        digest = sha256(raw).digest()
        principal = self._remembered(digest, now)
        if principal is None:
            request = self._signed(_headers(raw), now)
            principal = self._shared(digest, lambda: self._identified(digest, request, now))
        return principal

    def _remembered(self, digest: bytes, now: float) -> Principal | None:
        """The caller if STS has named it. Raises `InvalidToken` if STS has refused it."""
        cause = self._refused[digest]
        if cause is not None:
            raise InvalidToken(cause)
        return self._verified.get(digest, self._sts, now)

    def _shared(self, digest: bytes, identify: Callable[[], Principal]) -> Principal:
        """What `identify` returns or raises, called once for all simultaneous requests with this
        credential: a program that has renewed its credential goes on with many at once.
        """
        own: Future[Principal] = Future()
        answer = self._pending.setdefault(digest, own)  # atomic: one request sees its own future
        if answer is own:
            try:
                own.set_result(identify())
            except BaseException as error:
                own.set_exception(error)
            finally:
                del self._pending[digest]
        return answer.result()

    def _identified(self, digest: bytes, request: SignedRequest, now: float) -> Principal:
        """The caller that STS names. A refusal is remembered, so that repeats cause no calls."""
        # Another request may have got the answer after this one found none.
        principal = self._remembered(digest, now)
        if principal is not None:
            return principal
        try:
            principal = self._principal(request, self._sts.caller(request.headers))
        except InvalidToken as refusal:
            self._refused[digest] = str(refusal)
            raise
        self._verified.add(digest, self._sts, principal)
        return principal

    def _signed(self, given: Mapping[str, str], now: float) -> SignedRequest:
        headers = {"host": self._sts.host, **given}
        parts = _AUTHORIZATION.fullmatch(headers.pop("authorization", ""))
        if parts is None or parts["region"] != self._sts.region:
            raise InvalidToken("not signed with SigV4 for STS in this region")
        _check_signed(headers, parts["signed"].split(";"))
        if headers["host"] != self._sts.host or headers[AUDIENCE] != self._audience:
            raise InvalidToken("signed for another service")
        date = headers["x-amz-date"]
        if not _DATE.fullmatch(date) or date[:8] != parts["date"]:
            raise InvalidToken("not dated")
        sent = headers | {"authorization": parts[0]}
        return SignedRequest(sent, parts["signature"], self._timely(date, now))

    def _timely(self, date: str, now: float) -> int:
        try:
            instant = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise InvalidToken("not dated") from None
        signed_at = int(instant.timestamp())
        if not now - OLDEST_SECONDS < signed_at <= now + self._leeway_seconds:
            raise InvalidToken("signed too long ago, or in the future")
        return signed_at

    def _principal(self, request: SignedRequest, arn: str) -> Principal:
        grant = self._grants.of(arn)
        return Principal(
            subject=grant.role_arn,
            kind=TokenKind.MACHINE,
            client_id=arn,
            scopes=grant.scopes,
            # The digest of the signature, not of the header: the same credential could be spelled
            # in another way and so escape its revocation.
            jti=sha256(request.signature.encode()).hexdigest(),
            issued_at=request.signed_at,
            expires_at=request.signed_at + OLDEST_SECONDS,
        )


def _headers(raw: bytes) -> Mapping[str, str]:
    """The headers in the credential's JSON object, by their names in lower case."""
    try:
        members = read_json_object(base64url(raw))
    except ValueError as error:
        raise InvalidToken(f"credential: {error}") from None
    headers = {name.lower(): value for name, value in members.items()}
    if len(headers) != len(members):
        raise InvalidToken("a header occurs twice")
    for value in headers.values():
        if type(value) is not str or not _VISIBLE.fullmatch(value):
            raise InvalidToken("a header is not printable ASCII")
    return headers


def _check_signed(headers: Mapping[str, str], signed: list[str]) -> None:
    """Check that each header is signed once and that none of them changes the request to STS."""
    if sorted(signed) != sorted(headers) or not _REQUIRED.issubset(headers):
        raise InvalidToken("not the headers that must be signed")
    for name in headers.keys() - _REQUIRED:
        if headers[name] not in _FIXED.get(name, ()):
            raise InvalidToken("a header that must not be signed")
