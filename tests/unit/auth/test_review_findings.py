"""What a review with the task to break in found, kept found."""

from __future__ import annotations

import pytest

from service.auth.claims import LONGEST_IDENTIFIER, AccessClaims
from service.auth.errors import InvalidToken
from service.auth.keys import PinnedKeys
from service.auth.verifier import TokenVerifier
from tests.support.token_mint import CLIENT_ID, ISSUER, Mint, jwks


@pytest.fixture
def verifier(tmp_path_factory: pytest.TempPathFactory) -> TokenVerifier:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_bytes(jwks(Mint().key))
    return TokenVerifier(PinnedKeys(path), AccessClaims(issuers=(ISSUER,), client_ids=(CLIENT_ID,)))


@pytest.mark.parametrize("claim", ["sub", "jti", "origin_jti", "username"])
@pytest.mark.parametrize("value", ["x" * (LONGEST_IDENTIFIER + 1), "a\nb", "a\x00b", "\u202eb"])
def test_a_signed_identifier_that_cannot_be_a_key_is_refused(
    verifier: TokenVerifier, claim: str, value: str
) -> None:
    mint = Mint()
    with pytest.raises(InvalidToken):
        verifier.verify(mint.access_token(**{claim: value}), mint.clock())


@pytest.mark.parametrize("claim", ["iat", "auth_time"])
def test_instants_before_1970_are_refused(verifier: TokenVerifier, claim: str) -> None:
    mint = Mint()
    with pytest.raises(InvalidToken):
        verifier.verify(mint.access_token(**{claim: -(10**300)}), mint.clock())
