"""A user pool's mint: key pairs, JWKS documents, access tokens like Cognito's, and forgeries.

Everything is really signed. A forgery is made from parts (`compact`), so that any header, payload
and signature can be put together, well-formed or not.
"""

from __future__ import annotations

import json
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

POOL_ID: Final = "us-east-1_Wildrydes"
ISSUER: Final = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
UPDATED_ISSUER: Final = f"https://issuer-cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
CLIENT_ID: Final = "1example23456789"
MACHINE_ID: Final = "2telemetry3456789"


class _Absent:
    def __repr__(self) -> str:
        return "absent"


DROP: Final = _Absent()
"""As the value of a claim or header parameter: leave it out."""

Json = Mapping[str, Any]
Signer = Callable[[bytes], bytes]


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned_integer(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8))


@cache
def private_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key pair for the same name, made once per process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class SigningKey:
    """A key pair under a kid. Two with one `name` share material, whatever their kids."""

    kid: str
    name: str = ""
    bits: int = 2048

    @property
    def private(self) -> rsa.RSAPrivateKey:
        return private_key(self.name or self.kid, self.bits)

    def jwk(self, **changes: object) -> dict[str, Any]:
        """The public key as Cognito publishes it, with changes."""
        numbers = self.private.public_key().public_numbers()
        return _changed(
            {
                "alg": "RS256",
                "e": unsigned_integer(numbers.e),
                "kid": self.kid,
                "kty": "RSA",
                "n": unsigned_integer(numbers.n),
                "use": "sig",
            },
            changes,
        )

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())


def jwks(*keys: SigningKey | Json) -> bytes:
    """A key set document of signing keys or of any entries."""
    entries = [key.jwk() if isinstance(key, SigningKey) else key for key in keys]
    return json.dumps({"keys": entries}).encode()


def compact(header: Json | bytes, payload: Json | bytes, sign: Signer | bytes) -> str:
    """Three segments; bytes are taken as they are, a signature too if it is not a function."""
    signed = f"{_segment(header)}.{_segment(payload)}"
    signature = sign if isinstance(sign, bytes) else sign(signed.encode())
    return f"{signed}.{base64url(signature)}"


@dataclass(frozen=True)
class Mint:
    """Issues tokens of one pool with one key."""

    key: SigningKey = field(default_factory=lambda: SigningKey("pool-key-1"))
    issuer: str = ISSUER
    client_id: str = CLIENT_ID
    machine_id: str = MACHINE_ID
    clock: Callable[[], float] = time.time

    def header(self, **changes: object) -> dict[str, Any]:
        return _changed({"kid": self.key.kid, "alg": "RS256"}, changes)

    def claims(self, **changes: object) -> dict[str, Any]:
        """A rider's access token, valid for an hour. `groups` stands for `cognito:groups`."""
        now = int(self.clock())
        subject = str(uuid.uuid4())
        claims = {
            "sub": subject,
            "iss": self.issuer,
            "version": 2,
            "client_id": self.client_id,
            "origin_jti": str(uuid.uuid4()),
            "event_id": str(uuid.uuid4()),
            "token_use": "access",
            "scope": "wildrydes/rides.read wildrydes/rides.write",
            "auth_time": now,
            "exp": now + 3600,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "username": subject,
        }
        return _changed(claims, changes)

    def machine_claims(self, **changes: object) -> dict[str, Any]:
        """A token of the client credentials grant: no user, no session."""
        now = int(self.clock())
        claims = {
            "sub": self.machine_id,
            "iss": self.issuer,
            "version": 2,
            "client_id": self.machine_id,
            "token_use": "access",
            "scope": "wildrydes/fleet.telemetry",
            "auth_time": now,
            "exp": now + 3600,
            "iat": now,
            "jti": str(uuid.uuid4()),
        }
        return _changed(claims, changes)

    def access_token(self, **changes: object) -> str:
        return self.signed(self.claims(**changes))

    def machine_token(self, **changes: object) -> str:
        return self.signed(self.machine_claims(**changes))

    def signed(self, payload: Json | bytes, header: Json | bytes | None = None) -> str:
        """Any header and payload, with this pool's genuine signature."""
        return compact(self.header() if header is None else header, payload, self.key.sign)


def _segment(part: Json | bytes) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return base64url(data)


def _changed(values: dict[str, Any], changes: Mapping[str, object]) -> dict[str, Any]:
    renamed = {"cognito:groups" if name == "groups" else name: to for name, to in changes.items()}
    return {name: to for name, to in {**values, **renamed}.items() if to is not DROP}
