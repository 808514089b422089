"""Verifies tokens of a user pool: compact JWS, RS256 only (RFC 7515, RFC 7519, RFC 8725).

The cheap checks come first. Size, shape and header need no key. If we have the key that the header
names, the signature is checked next, before the claims are parsed. If we do not have the key and a
fetch could bring it, the claims are checked first, so that expired tokens and tokens of other
issuers cause no fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final

from service.auth.claims import AccessClaims
from service.auth.errors import InvalidToken, TokenTooLarge
from service.auth.jwks import ALGORITHM, Key
from service.auth.keys import Keys, Snapshot
from service.auth.principal import Principal
from service.memory import BoundedMemory
from service.strict import base64url, read_json_object

LONGEST_TOKEN: Final = 7 * 1024
"""The most characters of a token. With its scheme, such a token still fits into the 8 KiB that
proxies allow for a header."""

LONGEST_HEADER: Final = 1024
"""The most characters of a token's header (Cognito's have about 100). There is a limit, because
anybody can make us parse a header."""

_SIGNATURE_LENGTHS: Final = range(342, 684)
"""Characters of a base64url signature by an RSA key of 2048 to 4096 bits."""

_UNSUPPORTED: Final = frozenset({"crit", "b64", "zip"})
"""Header parameters that change the meaning of the token; we support none of them."""


class VerifiedTokens:
    """Verified principals by token digest, at most `limit`. Tokens themselves are not kept.

    `proof`: the object that the verification used, such as the set of keys; compared by identity.
    """

    def __init__(self, limit: int) -> None:
        self._verified: BoundedMemory[bytes, tuple[object, Principal]] = BoundedMemory(limit)

    def get(self, digest: bytes, proof: object, now: float) -> Principal | None:
        """The principal, unless it has expired or was verified with another `proof`."""
        entry = self._verified[digest]
        if entry is None:
            return None
        proved_with, principal = entry
        return principal if proved_with is proof and now < principal.expires_at else None

    def add(self, digest: bytes, proof: object, principal: Principal) -> None:
        self._verified[digest] = proof, principal


class TokenVerifier:
    """Verifies tokens of one kind by the `rules` for their claims. Safe to share between threads.

    A verified token is remembered by its digest until it expires or the keys change. If
    `remembered_tokens` is 0, every request verifies its token. Revocations are not checked here:
    the caller of this class checks them on every request.
    """

    def __init__(self, keys: Keys, rules: AccessClaims, remembered_tokens: int = 10_000) -> None:
        self._keys = keys
        self._rules = rules
        self._verified = VerifiedTokens(remembered_tokens)

    def verify(self, token: str, now: float) -> Principal:
        """The principal that the token proves. `now`: seconds since 1970.

        Raises `TokenTooLarge`, `InvalidToken`, or `AuthUnavailable` if no keys are available.
        """
        if len(token) > LONGEST_TOKEN:
            raise TokenTooLarge(f"{len(token)} characters")
        if not token.isascii():
            raise InvalidToken("not ASCII")
        raw = token.encode()
        digest = sha256(raw).digest()
        snapshot = self._keys.current()
        principal = self._verified.get(digest, snapshot.keys, now)
        if principal is None:
            principal, keys = self._prove(raw, snapshot, now)
            self._verified.add(digest, keys, principal)
        return principal

    def _prove(
        self, raw: bytes, snapshot: Snapshot, now: float
    ) -> tuple[Principal, Mapping[str, Key]]:
        """The principal, and the set of keys that verified it."""
        signed, header, payload, signature = _segments(raw)
        kid = _kid(header)
        key = snapshot.keys.get(kid)
        if key is not None:
            _check_signature(key, signed, signature)
            return self._principal(payload, now), snapshot.keys
        if self._keys.is_absent(kid):
            raise InvalidToken("unknown key")
        principal = self._principal(payload, now)
        snapshot = self._keys.seek(kid)
        key = snapshot.keys.get(kid)
        if key is None:
            raise InvalidToken("unknown key")
        _check_signature(key, signed, signature)
        return principal, snapshot.keys

    def _principal(self, payload: bytes, now: float) -> Principal:
        """The principal of the payload; not to be trusted before the signature is checked."""
        try:
            claims = read_json_object(base64url(payload))
        except ValueError as error:
            raise InvalidToken(f"payload: {error}") from None
        return self._rules.principal_of(claims, now)


def _segments(raw: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """The signed bytes, the header and payload (still encoded), and the decoded signature."""
    signed, _, encoded_signature = raw.rpartition(b".")
    header, _, payload = signed.partition(b".")
    if not header or not payload or b"." in payload:
        raise InvalidToken("not three segments")
    if len(encoded_signature) not in _SIGNATURE_LENGTHS or len(header) > LONGEST_HEADER:
        raise InvalidToken("a segment has an impossible length")
    try:
        return signed, header, payload, base64url(encoded_signature)
    except ValueError as error:
        raise InvalidToken(f"signature: {error}") from None


@lru_cache(maxsize=64)
def _kid(header_segment: bytes) -> str:
    """The kid of a header. Cached, because all tokens of one key have the same header."""
    try:
        header = read_json_object(base64url(header_segment))
    except ValueError as error:
        raise InvalidToken(f"header: {error}") from None
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or not _UNSUPPORTED.isdisjoint(header):
        raise InvalidToken("not a plain RS256 header")
    if type(kid) is not str or not kid:
        raise InvalidToken("no kid")
    return kid


def _check_signature(key: Key, signed: bytes, signature: bytes) -> None:
    if not key.verifies(signed, signature):
        raise InvalidToken("signature does not match")
