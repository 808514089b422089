"""Signing in by SRP as a browser does: no AWS credentials, no request is signed.

The client's half of what amazon-cognito-identity-js and Amplify speak (SRP-6a with SHA-256 over
the 3072-bit group of RFC 5054):
https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-authentication-flow-methods.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from typing import Any

import urllib3

_GROUP = (
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C"
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF"
)
_N = int(_GROUP, 16)
_G = 2


def _padded(number: int) -> bytes:
    text = f"{number:x}"
    text = text.zfill(len(text) + len(text) % 2)
    return bytes.fromhex(f"00{text}" if text[0] in "89abcdef" else text)


def _digest(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest())


def call(url: str, operation: str, **parameters: Any) -> Any:
    """One call of the pool's API, unsigned; raises `AssertionError` with what it answered."""
    answer = urllib3.request(
        "POST",
        url,
        body=json.dumps(parameters),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
        },
        timeout=10,
    )
    assert answer.status == 200, answer.data
    return answer.json()


def sign_in(url: str, pool_id: str, client_id: str, username: str, password: str) -> Any:
    """The `AuthenticationResult` of a user who proves to know the password."""
    private = secrets.randbits(256)
    public = pow(_G, private, _N)
    started = call(
        url,
        "InitiateAuth",
        AuthFlow="USER_SRP_AUTH",
        ClientId=client_id,
        AuthParameters={"USERNAME": username, "SRP_A": f"{public:x}"},
    )
    challenge = started["ChallengeParameters"]
    user = challenge["USER_ID_FOR_SRP"]
    key = _session_key(pool_id.split("_", 1)[1], user, password, private, public, challenge)
    stamp = datetime.now(UTC).strftime("%a %b %-d %H:%M:%S UTC %Y")
    message = (
        pool_id.split("_", 1)[1].encode()
        + user.encode()
        + base64.b64decode(challenge["SECRET_BLOCK"])
        + stamp.encode()
    )
    signature = base64.b64encode(hmac.digest(key, message, "sha256")).decode()
    ended = call(
        url,
        "RespondToAuthChallenge",
        ChallengeName="PASSWORD_VERIFIER",
        ClientId=client_id,
        ChallengeResponses={
            "USERNAME": user,
            "PASSWORD_CLAIM_SECRET_BLOCK": challenge["SECRET_BLOCK"],
            "PASSWORD_CLAIM_SIGNATURE": signature,
            "TIMESTAMP": stamp,
        },
    )
    return ended["AuthenticationResult"]


def _session_key(
    pool: str, user: str, password: str, private: int, public: int, challenge: Any
) -> bytes:
    salt, theirs = int(challenge["SALT"], 16), int(challenge["SRP_B"], 16)
    scramble = _digest(_padded(public), _padded(theirs))
    inner = hashlib.sha256(f"{pool}{user}:{password}".encode()).digest()
    secret = _digest(_padded(salt), inner)
    multiplier = _digest(_padded(_N), _padded(_G))
    shared = pow(theirs - multiplier * pow(_G, secret, _N), private + scramble * secret, _N)
    extract = hmac.digest(_padded(scramble), _padded(shared), "sha256")
    return hmac.digest(extract, b"Caldera Derived Key\x01", "sha256")[:16]
