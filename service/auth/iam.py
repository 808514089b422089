"""Programs with an IAM role as callers, without a token: they prove to STS who they are, via us.

The caller signs `sts:GetCallerIdentity` (SigV4) and sends us the headers; STS tells us whose
signature that is. Only those headers come from the caller: address, method and body are ours, so
that the signature fits this one question or nothing. A signed header names this service, so that
what was signed for another cannot be replayed here.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Protocol

from cachetools import LRUCache

from service.auth.errors import InvalidToken, MalformedHeader
from service.auth.principal import Principal, TokenKind
from service.auth.roles import RoleGrants
from service.auth.strict import base64url
from service.auth.sts import BODY
from service.auth.verifier import VerifiedTokens
from service.strict_json import read_json_object

AUDIENCE: Final = "x-wildrydes-audience"
LONGEST_CREDENTIAL: Final = 7 * 1024
OLDEST_SECONDS: Final = 5 * 60

_SCHEME: Final = "wildrydes-iam"
_REQUIRED: Final = frozenset({"host", "x-amz-date", "x-amz-security-token", AUDIENCE})
"""Must be signed. An assumed role's credentials always have a session token."""
_FORM: Final = "application/x-www-form-urlencoded"
_FIXED: Final[Mapping[str, frozenset[str]]] = {
    "content-type": frozenset({_FORM, f"{_FORM}; charset=utf-8"}),
    "content-length": frozenset({str(len(BODY))}),
    "x-amz-content-sha256": frozenset({sha256(BODY).hexdigest()}),
}
"""What signers may add, and with which values. Any other header could make it another question."""

_VISIBLE: Final = re.compile(r"[\x20-\x7e]+")
_DATE: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[A-Z0-9]{16,128}/(?P<date>[0-9]{8})/(?P<region>[a-z0-9-]+)"
    r"/sts/aws4_request, ?SignedHeaders=(?P<signed>[a-z0-9;-]+)"
    r", ?Signature=(?P<signature>[0-9a-f]{64})"
)


class CallerOf(Protocol):
    """STS (`service.auth.sts.Sts`)."""

    region: str
    host: str

    def caller(self, headers: Mapping[str, str]) -> str: ...


@dataclass(frozen=True, slots=True)
class SignedQuestion:
    """A well-formed, timely request to STS, made for us. Only STS can say if the signature fits."""

    headers: Mapping[str, str]
    signature: str
    signed_at: int


def credential_from(authorization: str | None, has_query_token: bool) -> str | None:
    """What follows the scheme `WildRydes-IAM`; none if the header has another scheme.

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
    """Verifies what `credential_from` found. Safe to share between threads.

    `audience` is what the signed header `x-wildrydes-audience` must say. Answers are remembered by
    digest until the credential is five minutes old; revocation is the caller's to check, each time.
    """

    def __init__(
        self,
        sts: CallerOf,
        grants: RoleGrants,
        *,
        audience: str,
        leeway_seconds: int = 30,
        remembered: int = 1000,
    ) -> None:
        self._sts = sts
        self._grants = grants
        self._audience = audience
        self._leeway_seconds = leeway_seconds
        self._verified = VerifiedTokens(remembered)
        self._refused: LRUCache[bytes, str] = LRUCache(remembered)

    def verify(self, credential: str, now: float) -> Principal:
        """The role that is calling, as a machine. `now`: seconds since 1970.

        Raises `InvalidToken`, or `AuthUnavailable` if STS cannot be asked.
        """
        if len(credential) > LONGEST_CREDENTIAL or not credential.isascii():
            raise InvalidToken("too long, or not ASCII")
        raw = credential.encode()
        digest = sha256(raw).digest()
        principal = self._verified.get(digest, self._sts, now)
        if principal is None:
            cause = self._refused.get(digest)
            if cause is not None:
                raise InvalidToken(cause)
            principal = self._asked(digest, self._question(_headers(raw), now))
        return principal

    def _asked(self, digest: bytes, question: SignedQuestion) -> Principal:
        """Ask STS, once for a credential whatever it says: no crowd of repeats gets through."""
        try:
            principal = self._principal(question, self._sts.caller(question.headers))
        except InvalidToken as refusal:
            self._refused[digest] = refusal.cause
            raise
        self._verified.add(digest, self._sts, principal)
        return principal

    def _question(self, given: Mapping[str, str], now: float) -> SignedQuestion:
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
        question = headers | {"authorization": parts[0]}
        return SignedQuestion(question, parts["signature"], self._timely(date, now))

    def _timely(self, date: str, now: float) -> int:
        try:
            instant = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise InvalidToken("not dated") from None
        signed_at = int(instant.timestamp())
        if not now - OLDEST_SECONDS < signed_at <= now + self._leeway_seconds:
            raise InvalidToken("signed too long ago, or in the future")
        return signed_at

    def _principal(self, question: SignedQuestion, arn: str) -> Principal:
        grant = self._grants.of(arn)
        if grant is None:
            raise InvalidToken("not a role that may call")
        return Principal(
            subject=grant.role_arn,
            kind=TokenKind.MACHINE,
            client_id=arn,
            username=None,
            scopes=grant.scopes,
            groups=frozenset(),
            # Of what is signed and not of how it is written down, or a revocation could be evaded.
            jti=sha256(question.signature.encode()).hexdigest(),
            origin_jti=None,
            issued_at=question.signed_at,
            auth_time=None,
            expires_at=question.signed_at + OLDEST_SECONDS,
        )


def _headers(raw: bytes) -> Mapping[str, str]:
    """The credential's JSON object: header names, in any case, to values."""
    try:
        members = read_json_object(base64url(raw))
    except ValueError as error:
        raise InvalidToken(f"credential: {error}") from None
    headers = {name.lower(): value for name, value in members.items()}
    if len(headers) != len(members):
        raise InvalidToken("a header occurs twice")
    for value in headers.values():
        if type(value) is not str or not _VISIBLE.fullmatch(value):
            raise InvalidToken("a header is not visible ASCII")
    return headers


def _check_signed(headers: Mapping[str, str], signed: list[str]) -> None:
    """Every header is signed once and is one of those that leave the question what it is."""
    if sorted(signed) != sorted(headers) or not _REQUIRED.issubset(headers):
        raise InvalidToken("not the headers that must be signed")
    for name in headers.keys() - _REQUIRED:
        if headers[name] not in _FIXED.get(name, ()):
            raise InvalidToken("a header that must not be signed")
