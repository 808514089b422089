"""ID tokens, by the rules for them alone and by those that take access tokens too."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from service.auth.errors import InvalidToken
from service.auth.id_tokens import AccessOrIdClaims, IdClaims
from service.auth.keys import PinnedKeys
from service.auth.principal import TokenKind
from service.auth.verifier import TokenVerifier
from tests.support.token_mint import CLIENT_ID, DROP, ISSUER, Mint, SigningKey


@pytest.fixture
def id_verifier(key_file: Path) -> TokenVerifier:
    return TokenVerifier(PinnedKeys(key_file), IdClaims(issuers=(ISSUER,), client_ids=(CLIENT_ID,)))


def id_token(mint: Mint, **changes: object) -> str:
    claims: dict[str, object] = {
        "token_use": "id",
        "aud": CLIENT_ID,
        "cognito:username": "rider",
        "email": "rider@example.com",
        "groups": ["admin"],
    }
    dropped = dict.fromkeys(("client_id", "scope", "username", "version"), DROP)
    return mint.access_token(**{**dropped, **claims, **changes})


def test_an_id_token_makes_a_rider_without_groups(mint: Mint, id_verifier: TokenVerifier) -> None:
    principal = id_verifier.verify(id_token(mint), time.time())
    assert principal.kind is TokenKind.USER
    assert principal.username == "rider"
    assert principal.client_id == CLIENT_ID
    assert principal.scopes == {"wildrydes/rides.read", "wildrydes/rides.write"}
    assert principal.groups == frozenset()


@pytest.mark.parametrize(
    "changes",
    [
        {"token_use": "access"},
        {"aud": "other"},
        {"aud": [CLIENT_ID]},
        {"aud": DROP},
        {"aud": DROP, "client_id": CLIENT_ID},
        {"iss": "https://example.com/pool"},
        {"exp": 1},
        {"cognito:username": DROP},
        {"cognito:username": DROP, "username": "rider"},
        {"auth_time": DROP},
    ],
    ids=str,
)
def test_a_bad_id_token_is_refused(
    mint: Mint, id_verifier: TokenVerifier, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidToken):
        id_verifier.verify(id_token(mint, **changes), time.time())


def test_neither_verifier_takes_the_tokens_of_the_other(
    mint: Mint, id_verifier: TokenVerifier, verifier: TokenVerifier
) -> None:
    with pytest.raises(InvalidToken):
        id_verifier.verify(mint.access_token(aud=CLIENT_ID), time.time())
    with pytest.raises(InvalidToken):
        verifier.verify(id_token(mint), time.time())


def test_one_verifier_takes_both(mint: Mint, key_file: Path) -> None:
    rules = AccessOrIdClaims(issuers=(ISSUER,), client_ids=(CLIENT_ID,))
    either = TokenVerifier(PinnedKeys(key_file), rules)
    assert either.verify(id_token(mint), time.time()).groups == frozenset()
    staff = mint.access_token(scope="wildrydes/admin", groups=["admin"])
    assert either.verify(staff, time.time()).groups == {"admin"}
    for neither in (id_token(mint, token_use="refresh"), id_token(mint, token_use=DROP)):
        with pytest.raises(InvalidToken, match="token"):
            either.verify(neither, time.time())


def test_a_forged_id_token_is_refused(mint: Mint, id_verifier: TokenVerifier) -> None:
    forger = Mint(SigningKey(mint.key.kid, name="forger"))
    with pytest.raises(InvalidToken, match="signature"):
        id_verifier.verify(id_token(forger), time.time())
