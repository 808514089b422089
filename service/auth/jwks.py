"""Fetches a JSON Web Key Set and reads it strictly (RFC 7517).

Only keys that can verify RS256 are used. Each of the others is ignored and counted with a reason,
so that one bad key does not make the good ones useless. A set without a usable key is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from service import addresses
from service.outbound import Outbound, RequestFailed
from service.strict import read_json_object

ALGORITHM: Final = "RS256"
SMALLEST_KEY_BITS: Final = 2048
LARGEST_KEY_BITS: Final = 4096
"""Verification slows with the square of the size; Cognito's keys have 2048 bits."""
LARGEST_DOCUMENT_BYTES: Final = 64 * 1024

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class BadKeySet(Exception):
    """The document cannot replace the keys in use."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key. Two keys are equal if their `kid` and their numbers are equal."""

    kid: str
    numbers: RSAPublicNumbers
    jwk: PyJWK = field(compare=False)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made `signature` for `message`, by PyJWT's algorithm object."""
        return bool(self.jwk.Algorithm.verify(message, self.jwk.key, signature))


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """The usable keys by kid, and the number of ignored keys by reason."""

    keys: Mapping[str, Key]
    ignored: Mapping[str, int]


class _Unusable(Exception):
    """Why one key is ignored."""


class Endpoint:
    """The address of a JWKS document. A call makes one remote call; raises `RequestFailed`.

    The constructor raises `ValueError` for a plain HTTP address, unless its host is this machine
    or one of `allow_http_hosts`.
    """

    def __init__(
        self, url: str, *, allow_http_hosts: Collection[str] = (), deadline_seconds: float = 3.0
    ) -> None:
        self._url = addresses.protected_url(url, allow_http_hosts)
        self._deadline_seconds = deadline_seconds
        self._outbound = Outbound()

    def __call__(self) -> bytes:
        status, body = self._outbound.request(
            "GET",
            self._url,
            headers={"Accept": "application/json"},
            seconds=self._deadline_seconds,
            most_bytes=LARGEST_DOCUMENT_BYTES,
        )
        if status != 200:
            raise RequestFailed(f"answered {status}")
        return body


def read_key_set(body: bytes) -> KeyDocument:
    """Read a JWKS document. Raises `BadKeySet`."""
    try:
        entries = read_json_object(body).get("keys")
    except ValueError as error:
        raise BadKeySet(f"not a JSON object: {error}") from None
    if not isinstance(entries, list):
        raise BadKeySet("has no list of keys")
    ignored: defaultdict[str, int] = defaultdict(int)
    keys = _unambiguous(_usable(entries, ignored), ignored)
    if not keys:
        raise BadKeySet(f"has no usable key (ignored: {dict(ignored)})")
    return KeyDocument(keys, dict(ignored))


def _usable(entries: Iterable[object], ignored: defaultdict[str, int]) -> Iterator[Key]:
    for entry in entries:
        try:
            yield _key(entry)
        except _Unusable as reason:
            ignored[str(reason)] += 1


def _unambiguous(keys: Iterable[Key], ignored: defaultdict[str, int]) -> dict[str, Key]:
    """Keys by kid. If different keys share a kid, all of them are ignored."""
    candidates: defaultdict[str, list[Key]] = defaultdict(list)
    for key in keys:
        if key not in candidates[key.kid]:
            candidates[key.kid].append(key)
    for rivals in candidates.values():
        if len(rivals) > 1:
            ignored["kid shared by different keys"] += len(rivals)
    return {kid: found[0] for kid, found in candidates.items() if len(found) == 1}


def _key(entry: object) -> Key:
    if not isinstance(entry, dict):
        raise _Unusable("not an object")
    fault = _declared_fault(entry)
    if fault:
        raise _Unusable(fault)
    try:
        jwk = PyJWK(entry, ALGORITHM)
    except (PyJWTError, ValueError, OverflowError):
        raise _Unusable("unreadable") from None
    numbers = _checked(jwk.key)
    return Key(entry["kid"], numbers, jwk)


def _declared_fault(entry: Mapping[str, Any]) -> str | None:
    """The fault in the key's own description, or None; `use` and `alg` may be absent."""
    operations = entry.get("key_ops", ["verify"])
    faults = {
        "kty is not RSA": entry.get("kty") != "RSA",
        "has private parts": not _PRIVATE.isdisjoint(entry),
        "use is not sig": entry.get("use", "sig") != "sig",
        "alg is not RS256": entry.get("alg", ALGORITHM) != ALGORITHM,
        "not for verifying": not isinstance(operations, list) or "verify" not in operations,
        "has no kid": not isinstance(entry.get("kid"), str) or not entry["kid"],
        "unreadable": not all(isinstance(entry.get(part), str) for part in ("n", "e")),
    }
    return next((name for name, found in faults.items() if found), None)


def _checked(key: RSAPublicKey) -> RSAPublicNumbers:
    numbers = key.public_numbers()
    if not SMALLEST_KEY_BITS <= key.key_size <= LARGEST_KEY_BITS:
        raise _Unusable(f"not {SMALLEST_KEY_BITS} to {LARGEST_KEY_BITS} bits")
    if numbers.n % 2 == 0:
        raise _Unusable("even modulus")
    if numbers.e % 2 == 0 or not 3 <= numbers.e < 2**32:
        raise _Unusable("bad exponent")
    return numbers
