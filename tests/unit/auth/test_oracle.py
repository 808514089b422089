"""Whatever the token: nothing is accepted that PyJWT's `decode` refuses; nothing else is raised."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.auth.claims import AccessClaims
from service.auth.errors import InvalidToken
from service.auth.keys import PinnedKeys
from service.auth.verifier import TokenVerifier
from tests.support.token_mint import (
    CLIENT_ID,
    DROP,
    ISSUER,
    MACHINE_ID,
    UPDATED_ISSUER,
    Mint,
    base64url,
    compact,
)

MINT = Mint()
RESOURCE = "https://api.example.com"
NOW = int(time.time())
GOOD = MINT.access_token()
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0é"

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=4), SCALARS)
INSTANTS = st.integers(NOW - 90_000, NOW + 90_000) | st.integers(NOW - 40, NOW + 40)
CLAIMS: dict[str, st.SearchStrategy[Any]] = {
    "exp": INSTANTS | VALUES | st.just(DROP),
    "iat": INSTANTS | VALUES | st.just(DROP),
    "nbf": INSTANTS | VALUES,
    "auth_time": INSTANTS | VALUES | st.just(DROP),
    "iss": st.sampled_from([ISSUER, UPDATED_ISSUER, ISSUER + "/", DROP, [ISSUER]]) | VALUES,
    "aud": st.sampled_from([RESOURCE, [RESOURCE], [RESOURCE, 1], "other", ""]) | VALUES,
    "sub": st.sampled_from([MACHINE_ID, DROP]) | VALUES,
    "jti": st.just(DROP) | VALUES,
    "client_id": st.sampled_from([CLIENT_ID, MACHINE_ID, DROP, [CLIENT_ID]]) | VALUES,
    "token_use": st.sampled_from(["access", "id", DROP]) | VALUES,
    "scope": st.just(DROP) | VALUES,
    "groups": VALUES,
    "username": st.just(DROP) | VALUES,
}
HEADERS: dict[str, st.SearchStrategy[Any]] = {
    "alg": st.sampled_from(["RS256", "none", "HS256", "RS512", "rs256", DROP]) | VALUES,
    "kid": st.sampled_from([MINT.key.kid, "unknown", DROP]) | VALUES,
    "crit": st.sampled_from([["b64"], ["exp"], []]) | VALUES,
    "b64": VALUES,
    "zip": VALUES,
    "typ": VALUES,
    "jwk": VALUES,
}


def few_of(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Two changes at most, so that many tokens are as good as the unchanged one."""
    names = st.lists(st.sampled_from(sorted(values)), max_size=2, unique=True)
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries({name: values[name] for name in chosen})
    )


@pytest.fixture(scope="module")
def subject(key_file: Path) -> TokenVerifier:
    return TokenVerifier(
        PinnedKeys(key_file),
        AccessClaims(
            issuers=(ISSUER, UPDATED_ISSUER), client_ids=(CLIENT_ID, MACHINE_ID), resource=RESOURCE
        ),
        remembered_tokens=0,
    )


def accepts(verifier: TokenVerifier, token: str) -> bool:
    try:
        verifier.verify(token, time.time())
    except InvalidToken:
        return False
    return True


def oracle_accepts(token: str) -> bool:
    """PyJWT at its strictest; audience is asked for only where the token brings one."""
    try:
        unverified = jwt.decode(token, options={"verify_signature": False})
        jwt.decode(
            token,
            jwt.PyJWK(MINT.key.jwk()),
            algorithms=["RS256"],
            issuer=(ISSUER, UPDATED_ISSUER),
            audience=RESOURCE if "aud" in unverified else None,
            leeway=30,
            options={"require": ["exp", "iat", "sub", "jti"], "enforce_minimum_key_length": True},
        )
    except jwt.PyJWTError:
        return False
    return True


def check(verifier: TokenVerifier, token: str) -> None:
    if accepts(verifier, token):
        assert oracle_accepts(token)


@settings(max_examples=400)
@given(few_of(CLAIMS))
@example({})
@example({"aud": RESOURCE})
def test_no_claims_are_accepted_that_the_oracle_refuses(
    subject: TokenVerifier, claims: dict[str, object]
) -> None:
    check(subject, MINT.access_token(**claims))


@settings(max_examples=200)
@given(few_of(HEADERS))
def test_no_header_is_accepted_that_the_oracle_refuses(
    subject: TokenVerifier, header: dict[str, object]
) -> None:
    check(subject, MINT.signed(MINT.claims(), MINT.header(**header)))


@settings(max_examples=200)
@given(st.binary(max_size=40), st.binary(max_size=40), st.booleans())
def test_no_bytes_are_accepted_that_the_oracle_refuses(
    subject: TokenVerifier, header: bytes, payload: bytes, genuine_header: bool
) -> None:
    check(subject, MINT.signed(payload, MINT.header() if genuine_header else header))


@given(st.text(max_size=60) | st.text(CHARACTERS, max_size=60))
def test_no_text_whatever_is_a_token(subject: TokenVerifier, token: str) -> None:
    assert not accepts(subject, token)


@settings(max_examples=500)
@given(st.integers(0, len(GOOD) - 1), st.sampled_from(CHARACTERS))
def test_no_character_of_a_good_token_can_be_replaced(
    subject: TokenVerifier, at: int, character: str
) -> None:
    if GOOD[at] != character:
        assert not accepts(subject, GOOD[:at] + character + GOOD[at + 1 :])


@settings(max_examples=300)
@given(st.integers(0, len(GOOD)), st.integers(0, 4), st.text(CHARACTERS, max_size=4))
def test_nothing_can_be_cut_from_or_put_into_a_good_token(
    subject: TokenVerifier, at: int, cut: int, inserted: str
) -> None:
    token = GOOD[:at] + inserted + GOOD[at + cut :]
    if token != GOOD:
        assert not accepts(subject, token)


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_no_invented_signature_is_accepted(subject: TokenVerifier, signature: bytes) -> None:
    assert not accepts(subject, compact(MINT.header(), MINT.claims(), signature))


def test_every_single_bit_of_the_signature_counts(subject: TokenVerifier) -> None:
    signed, _, _ = GOOD.rpartition(".")
    signature = bytearray(MINT.key.sign(signed.encode()))
    for bit in range(0, len(signature) * 8, 13):
        signature[bit // 8] ^= 1 << bit % 8
        assert not accepts(subject, f"{signed}.{base64url(bytes(signature))}")
        signature[bit // 8] ^= 1 << bit % 8
    assert accepts(subject, f"{signed}.{base64url(bytes(signature))}")
