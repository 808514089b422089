"""Which keys of a key set document are taken, and which are ignored without spoiling the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.jwks import BadKeySet, read_key_set
from tests.support.token_mint import DROP, SigningKey, jwks, unsigned_integer

A, B = SigningKey("key-a"), SigningKey("key-b")
SMALL = SigningKey("small", bits=1024)
ODD_HUGE = unsigned_integer(2**16384 - 1)


def kids(*entries: object) -> set[str]:
    return set(read_key_set(jwks(*entries)).keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"use": None},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"alg": None},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC"},
        {"kty": "rsa"},
        {"kty": DROP},
        {"kid": DROP},
        {"kid": ""},
        {"kid": 1},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"d": "AQAB"},
        {"p": "AQAB"},
        {"n": DROP},
        {"n": 1},
        {"n": ""},
        {"n": "!!!"},
        {"n": "é"},
        {"n": ODD_HUGE},
        {"e": DROP},
        {"e": unsigned_integer(1)},
        {"e": unsigned_integer(4)},
        {"e": unsigned_integer(65536)},
        {"e": unsigned_integer(2**32 + 1)},
        {"e": unsigned_integer(2**64 + 1)},
        {"e": ""},
        {"e": ["AQAB"]},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_an_unusable_key_is_ignored_and_the_good_one_beside_it_works(
    changes: dict[str, object],
) -> None:
    document = read_key_set(jwks(B.jwk(**changes), A))
    assert set(document.keys) == {A.kid}
    assert sum(document.ignored.values()) == 1


@pytest.mark.parametrize("exponent", [3, 2**32 - 1])
def test_an_odd_exponent_from_3_to_32_bits_is_accepted(exponent: int) -> None:
    assert kids(A.jwk(e=unsigned_integer(exponent))) == {A.kid}


def test_keys_of_fewer_than_2048_bits_are_ignored() -> None:
    assert kids(SMALL, A) == {A.kid}


@pytest.mark.parametrize("entry", ["key", None, 1, [], {}])
def test_an_entry_that_is_no_key_is_ignored(entry: object) -> None:
    assert kids(entry, A) == {A.kid}


def test_use_and_alg_may_be_left_out() -> None:
    assert kids(A.jwk(use=DROP, alg=DROP), B.jwk(key_ops=["verify"])) == {A.kid, B.kid}


def test_members_nobody_knows_are_harmless() -> None:
    assert kids(A.jwk(x5c=["MII"], x5t="abc", __proto__={})) == {A.kid}


def test_one_kid_for_two_keys_means_neither_in_any_order() -> None:
    twin = B.jwk(kid=A.kid)
    other = SigningKey("other")
    for entries in ((A, twin, other), (twin, A, other), (A, twin, A, other)):
        document = read_key_set(jwks(*entries))
        assert set(document.keys) == {"other"}
        assert document.ignored == {"kid shared by different keys": 2}


def test_the_same_key_twice_is_one_key() -> None:
    assert kids(A, A) == {A.kid}


def test_a_set_without_usable_key_says_why() -> None:
    with pytest.raises(BadKeySet, match="use is not sig"):
        read_key_set(jwks(A.jwk(use="enc")))


def test_a_key_verifies_its_own_signatures_only() -> None:
    key = read_key_set(jwks(A)).keys[A.kid]
    assert key.verifies(b"message", A.sign(b"message"))
    assert not key.verifies(b"massage", A.sign(b"message"))
    assert not key.verifies(b"message", B.sign(b"message"))
    assert not key.verifies(b"message", b"")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("AQAB"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
MEMBERS = st.sampled_from(["kty", "kid", "n", "e", "alg", "use", "key_ops", "d", "crv", "oth"])


@given(st.dictionaries(MEMBERS, JSON))
def test_no_entry_whatever_gets_past_with_an_exception(changes: dict[str, object]) -> None:
    assert A.kid in kids(A, {**B.jwk(), **changes}) or changes.get("kid") == A.kid


@given(st.binary(max_size=64))
def test_no_document_whatever_gets_past_with_another_exception(body: bytes) -> None:
    with pytest.raises(BadKeySet):
        read_key_set(body)
