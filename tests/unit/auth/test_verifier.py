"""The principal a good token makes, bounds, and what is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from service.auth.claims import LONGEST_IDENTIFIER, AccessClaims
from service.auth.errors import InvalidToken, TokenTooLarge
from service.auth.jwks import read_key_set
from service.auth.keys import PinnedKeys, Snapshot
from service.auth.principal import Principal, TokenKind
from service.auth.revocation import remembered_for
from service.auth.verifier import TokenVerifier, VerifiedTokens
from tests.support.token_mint import CLIENT_ID, DROP, ISSUER, MACHINE_ID, Mint, SigningKey, jwks

RESOURCE = "https://api.example.com"
KEYS = object()


class CountingKeys:
    """Keys that count how often a signature is checked with them."""

    def __init__(self, *keys: SigningKey) -> None:
        self.sought: list[str] = []
        self.snapshot = Snapshot()
        self.rotate(*keys)

    def rotate(self, *keys: SigningKey) -> None:
        found = read_key_set(jwks(*keys)).keys
        self.snapshot = Snapshot(found, 0.0)

    def current(self) -> Snapshot:
        return self.snapshot

    def is_absent(self, kid: str) -> bool:
        return kid == "absent"

    def seek(self, kid: str) -> Snapshot:
        self.sought.append(kid)
        return self.snapshot


def verifier_with(keys: CountingKeys, **rules: str) -> TokenVerifier:
    claims = AccessClaims(issuers=(ISSUER,), client_ids=(CLIENT_ID, MACHINE_ID), **rules)
    return TokenVerifier(keys, claims)


def test_a_users_token_makes_a_user(mint: Mint, verifier: TokenVerifier) -> None:
    claims = mint.claims(groups=["admin", "riders"])
    assert verifier.verify(mint.signed(claims), time.time()) == Principal(
        subject=claims["sub"],
        kind=TokenKind.USER,
        client_id=CLIENT_ID,
        username=claims["username"],
        scopes=frozenset({"wildrydes/rides.read", "wildrydes/rides.write"}),
        groups=frozenset({"admin", "riders"}),
        jti=claims["jti"],
        origin_jti=claims["origin_jti"],
        issued_at=claims["iat"],
        auth_time=claims["auth_time"],
        expires_at=claims["exp"],
    )


def test_a_machines_token_makes_a_machine(mint: Mint, verifier: TokenVerifier) -> None:
    principal = verifier.verify(mint.machine_token(), time.time())
    assert principal.kind is TokenKind.MACHINE
    assert principal.subject == principal.client_id == MACHINE_ID
    assert principal.username is None
    assert principal.origin_jti is None
    assert principal.groups == frozenset()


def test_only_a_machine_may_leave_out_when_it_signed_in(
    mint: Mint, verifier: TokenVerifier
) -> None:
    assert verifier.verify(mint.machine_token(auth_time=DROP), time.time()).auth_time is None
    with pytest.raises(InvalidToken):
        verifier.verify(mint.access_token(auth_time=DROP), time.time())


def test_no_token_outlives_the_longest_session_and_with_it_the_memory_of_its_revocation(
    mint: Mint, key_file: Path
) -> None:
    session_seconds, leeway_seconds = 100_000, 30
    verifier = TokenVerifier(
        PinnedKeys(key_file),
        AccessClaims(
            issuers=[ISSUER],
            client_ids=[CLIENT_ID],
            leeway_seconds=leeway_seconds,
            session_seconds=session_seconds,
        ),
    )
    now = 1_800_000_000
    ends_at = now + session_seconds - leeway_seconds
    token = mint.access_token(auth_time=now, iat=ends_at - 10, exp=ends_at + 3600)
    assert verifier.verify(token, ends_at - 1).expires_at == ends_at
    with pytest.raises(InvalidToken, match="signed in too long ago"):
        verifier.verify(token, ends_at)
    for kind in ("sub", "origin_jti"):
        memory = remembered_for(
            kind, session_seconds=session_seconds, leeway_seconds=leeway_seconds
        )
        # The issuer's clock may be ahead of ours by the leeway.
        assert now + memory.total_seconds() >= ends_at + leeway_seconds


def test_a_machine_has_no_session_that_could_be_too_old(
    mint: Mint, verifier: TokenVerifier
) -> None:
    assert verifier.verify(mint.machine_token(auth_time=1), time.time()).auth_time == 1


def test_leeway_is_for_clocks_ahead_and_never_prolongs(mint: Mint, key_file: Path) -> None:
    keys = PinnedKeys(key_file)
    verifier = TokenVerifier(
        keys, AccessClaims(issuers=[ISSUER], client_ids=[CLIENT_ID]), remembered_tokens=0
    )
    now = 1_800_000_000
    token = mint.access_token(iat=now, auth_time=now, nbf=now, exp=now + 86430)
    for good in (now - 30, now, now + 86429.9):
        assert verifier.verify(token, good)
    for bad in (now - 30.1, now + 86430, now + 86431):
        with pytest.raises(InvalidToken):
            verifier.verify(token, bad)
    with pytest.raises(InvalidToken, match="lives too long"):
        verifier.verify(mint.access_token(iat=now, auth_time=now, exp=now + 86431), now)


@pytest.mark.parametrize(
    ("resource", "audience", "good"),
    [
        (RESOURCE, DROP, True),
        (RESOURCE, RESOURCE, True),
        (RESOURCE, ["https://other.example.com", RESOURCE], True),
        (RESOURCE, RESOURCE + "/", False),
        (RESOURCE, [RESOURCE, 1], False),
        (RESOURCE, [], False),
        (RESOURCE, {RESOURCE: 1}, False),
        ("", DROP, True),
        ("", "", False),
        ("", [""], False),
        ("", RESOURCE, False),
    ],
)
def test_a_token_bound_to_resources_must_name_ours(
    mint: Mint, resource: str, audience: object, good: bool
) -> None:
    verifier = verifier_with(CountingKeys(mint.key), resource=resource)
    token = mint.access_token(aud=audience)
    if good:
        assert verifier.verify(token, time.time())
    else:
        with pytest.raises(InvalidToken):
            verifier.verify(token, time.time())


def of_length(mint: Mint, length: int) -> str:
    """A good token of exactly this many characters (base64 leaves out one length in four)."""
    for padding in range(length):
        token = mint.access_token(padding="x" * (length * 3 // 4 - 800 + padding))
        if len(token) >= length:
            return token
    raise AssertionError("unreachable")


def test_a_token_may_have_7_kib_and_no_more(mint: Mint, verifier: TokenVerifier) -> None:
    token = of_length(mint, 7168 - 2)
    assert len(token) <= 7168
    assert verifier.verify(token, time.time())
    with pytest.raises(TokenTooLarge):
        verifier.verify(of_length(mint, 7168 + 1), time.time())


@pytest.mark.parametrize("name", ["sub", "username", "jti", "origin_jti"])
@pytest.mark.parametrize(
    "text", ["\U0001fae8", "\U0001faea", "zoë", "日本", "नमस्ते", "a+b@example.com", "‚„…", "x" * 256]
)
def test_every_user_name_that_cognito_allows_is_accepted(
    mint: Mint, verifier: TokenVerifier, name: str, text: str
) -> None:
    token = mint.access_token(**{name: text})
    assert verifier.verify(token, time.time())


@pytest.mark.parametrize("name", ["sub", "username", "jti", "origin_jti"])
@pytest.mark.parametrize(
    "text",
    [
        *(f"a{control}b" for control in "\0\n\x1b\x7f\x85\u2028\u202e"),
        "\u202eb",
        "x" * (LONGEST_IDENTIFIER + 1),
    ],
)
def test_a_text_that_cannot_be_a_key_is_refused_in_every_identifier(
    mint: Mint, verifier: TokenVerifier, name: str, text: str
) -> None:
    with pytest.raises(InvalidToken, match=f"{name} is not an identifier"):
        verifier.verify(mint.access_token(**{name: text}), time.time())


def test_tokens_of_a_4096_bit_key_are_fine() -> None:
    mint = Mint(SigningKey("large", bits=4096))
    assert verifier_with(CountingKeys(mint.key)).verify(mint.access_token(), time.time())


def test_a_known_kid_means_the_payload_is_not_even_parsed_before_the_signature(mint: Mint) -> None:
    verifier = verifier_with(CountingKeys(mint.key))
    header, _, signature = mint.access_token().split(".")
    with pytest.raises(InvalidToken, match="signature does not match"):
        verifier.verify(f"{header}.!!!!.{signature}", time.time())


@pytest.mark.parametrize(
    "claims",
    [{"iss": "x"}, {"token_use": "id"}, {"client_id": "x"}, {"exp": 1}, {"scope": 1}, {"sub": ""}],
    ids=str,
)
def test_an_unknown_kid_is_not_looked_for_on_behalf_of_bad_claims(
    mint: Mint, claims: dict[str, object]
) -> None:
    keys = CountingKeys(SigningKey("another"))
    with pytest.raises(InvalidToken):
        verifier_with(keys).verify(mint.access_token(**claims), time.time())
    assert keys.sought == []


def test_the_claims_of_a_token_with_a_certainly_absent_kid_are_not_parsed(mint: Mint) -> None:
    token = mint.signed(b"no claims at all", mint.header(kid="absent"))
    with pytest.raises(InvalidToken, match="unknown key"):
        verifier_with(CountingKeys(mint.key)).verify(token, time.time())


def test_an_unknown_kid_is_looked_for_and_its_signature_still_checked(mint: Mint) -> None:
    class Late(CountingKeys):
        def seek(self, kid: str) -> Snapshot:
            self.rotate(mint.key)
            return super().seek(kid)

    for token, good in ((mint.access_token(), True), (mint.access_token()[:-8] + "A" * 8, False)):
        keys = Late(SigningKey("another"))
        verifier = verifier_with(keys)
        if good:
            assert verifier.verify(token, time.time())
        else:
            with pytest.raises(InvalidToken, match="signature"):
                verifier.verify(token, time.time())
        assert keys.sought == [mint.key.kid]


def rotate(keys: CountingKeys) -> None:
    keys.rotate(SigningKey("remembered"), SigningKey("another"))


def lose_the_keys(keys: CountingKeys) -> None:
    keys.snapshot = Snapshot()


@pytest.mark.parametrize(
    ("change", "later", "is_remembered"),
    [
        (lambda _: None, 0, True),
        (lambda _: None, 3601, False),
        (rotate, 0, False),
        (lose_the_keys, 0, False),
    ],
    ids=["as it was", "expired", "other keys", "no keys"],
)
def test_a_verified_token_is_remembered_until_it_expires_or_the_keys_change(
    change: Callable[[CountingKeys], None], later: float, is_remembered: bool
) -> None:
    mint = Mint(SigningKey("remembered"))
    keys = CountingKeys(mint.key)
    verifier = verifier_with(keys)
    token = mint.access_token()
    first = verifier.verify(token, time.time())
    change(keys)
    try:
        second = verifier.verify(token, time.time() + later)
    except InvalidToken:
        second = None
    assert (second is first) is is_remembered


def test_a_refused_token_is_not_remembered(mint: Mint) -> None:
    keys = CountingKeys(SigningKey("another", name="wrong"))
    verifier = verifier_with(keys)
    token = mint.access_token()
    for _ in range(2):
        with pytest.raises(InvalidToken):
            verifier.verify(token, time.time())
    keys.rotate(mint.key)
    assert verifier.verify(token, time.time())


def test_one_changed_character_is_another_token(mint: Mint) -> None:
    verifier = verifier_with(CountingKeys(mint.key))
    token = mint.access_token()
    assert verifier.verify(token, time.time())
    for at in range(0, len(token), 7):
        other = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(InvalidToken):
            verifier.verify(other, time.time())


def principal_until(expires_at: int) -> Principal:
    mint = Mint()
    token = mint.access_token(exp=int(time.time()) + 60)
    found = verifier_with(CountingKeys(mint.key)).verify(token, time.time())
    return replace(found, expires_at=expires_at)


def test_the_memory_of_tokens_keeps_the_last_ones_up_to_its_limit() -> None:
    tokens = VerifiedTokens(limit=10)
    someone = principal_until(100)
    for number in range(1000):
        tokens.add(b"%d" % number, KEYS, someone)
    kept = [number for number in range(1000) if tokens.get(b"%d" % number, KEYS, 0.0)]
    assert kept == list(range(990, 1000))


@pytest.mark.parametrize("claim", ["iat", "auth_time"])
def test_instants_before_1970_are_refused(mint: Mint, verifier: TokenVerifier, claim: str) -> None:
    with pytest.raises(InvalidToken):
        verifier.verify(mint.access_token(**{claim: -(10**300)}), mint.clock())
