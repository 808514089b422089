"""A pool whose keys are pinned: what the verifier makes of tokens, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.auth.claims import AccessClaims
from service.auth.keys import PinnedKeys
from service.auth.verifier import TokenVerifier
from tests.support.token_mint import CLIENT_ID, ISSUER, MACHINE_ID, UPDATED_ISSUER, Mint, jwks


class Watch:
    """A monotonic clock that moves by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="session")
def mint() -> Mint:
    return Mint()


@pytest.fixture(scope="session")
def key_file(mint: Mint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_bytes(jwks(mint.key))
    return path


@pytest.fixture
def verifier(key_file: Path) -> TokenVerifier:
    return TokenVerifier(
        PinnedKeys(key_file),
        AccessClaims(issuers=(ISSUER, UPDATED_ISSUER), client_ids=(CLIENT_ID, MACHINE_ID)),
    )
