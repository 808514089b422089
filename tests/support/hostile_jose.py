"""Rows 18 to 55: algorithms, keys, headers, shapes and encodings."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.hostile_case import Token, accepted, invalid, too_large
from tests.support.token_mint import DROP, Json, Mint, SigningKey, base64url, compact

ATTACKER = SigningKey("attacker")
METADATA = "http://169.254.169.254/latest/meta-data/"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def genuine(**header: object) -> Token:
    """Signed by the pool, with a changed header."""
    return lambda mint: mint.signed(mint.claims(), mint.header(**header))


def forged(**header: object) -> Token:
    """The same, signed by the attacker."""
    return lambda mint: compact(mint.header(**header), mint.claims(), ATTACKER.sign)


def unsigned(algorithm: str) -> Token:
    return lambda mint: compact(mint.header(alg=algorithm), mint.claims(), b"")


def signed_by(sign: Callable[[RSAPrivateKey, bytes], bytes], **header: object) -> Token:
    """Signed by the pool's key in another way."""
    return lambda mint: compact(
        mint.header(**header), mint.claims(), lambda message: sign(mint.key.private, message)
    )


def keyed(secret: Callable[[Mint], bytes]) -> Token:
    """HS256 with a public text as the secret."""
    return lambda mint: compact(
        mint.header(alg="HS256"),
        mint.claims(),
        lambda message: hmac.new(secret(mint), message, hashlib.sha256).digest(),
    )


def public_pem(mint: Mint) -> bytes:
    return mint.key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def rs384(key: RSAPrivateKey, message: bytes) -> bytes:
    return key.sign(message, padding.PKCS1v15(), hashes.SHA384())


def ps256(key: RSAPrivateKey, message: bytes) -> bytes:
    salted = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
    return key.sign(message, salted, hashes.SHA256())


def es256(message: bytes) -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).sign(message, ec.ECDSA(hashes.SHA256()))


def raw(payload: bytes) -> Token:
    return lambda mint: mint.signed(payload)


def doubled(mint: Mint, name: str, *values: object) -> str:
    """Claims in which `name` occurs once per value."""
    members = [*mint.claims(**{name: DROP}).items(), *((name, value) for value in values)]
    return mint.signed(object_text(members))


def object_text(members: list[tuple[str, Any]]) -> bytes:
    return ("{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in members) + "}").encode()


def with_text(text: bytes) -> Token:
    """Good claims whose `username` is replaced by these bytes."""
    return lambda mint: mint.signed(
        json.dumps(mint.claims(username="MARK")).encode().replace(b"MARK", text)
    )


def signature_changed(change: Callable[[str], str]) -> Token:
    def token(mint: Mint) -> str:
        signed, _, signature = mint.access_token().rpartition(".")
        return f"{signed}.{change(signature)}"

    return token


def flipped(signature: str) -> str:
    return ("B" if signature[0] != "B" else "C") + signature[1:]


def unused_bits_set(signature: str) -> str:
    return signature[:-1] + ALPHABET[ALPHABET.index(signature[-1]) + 1]


def in_plain_base64(signature: str) -> str:
    return signature.translate(str.maketrans("-_", "+/"))


def grafted(mint: Mint) -> str:
    """The signature of one token under the claims of another."""
    header, _, signature = mint.access_token().split(".")
    claims = json.dumps(mint.claims(scope="wildrydes/admin")).encode()
    return f"{header}.{base64url(claims)}.{signature}"


def segments(*order: int) -> Token:
    return lambda mint: ".".join([*mint.access_token().split("."), ""][index] for index in order)


def jwe(extra: Json) -> str:
    header = json.dumps({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", **extra}).encode()
    return ".".join([base64url(header), *(base64url(b"x" * 16) for _ in range(4))])


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def padded_unsigned(size: int) -> Token:
    return lambda mint: compact(mint.header(), mint.claims(padding="x" * size), b"")


CASES = [
    invalid(18, "alg none", unsigned("none")),
    invalid(19, "alg nOnE", unsigned("nOnE")),
    invalid(19, "alg none with a genuine signature", genuine(alg="none")),
    invalid(20, "hs256 with the pem", keyed(public_pem)),
    invalid(21, "hs256 with the jwk", keyed(lambda mint: json.dumps(mint.key.jwk()).encode())),
    invalid(22, "RS384 by the pool key", signed_by(rs384, alg="RS384")),
    invalid(22, "PS256 by the pool key", signed_by(ps256, alg="PS256")),
    invalid(22, "RS384 signature under RS256", signed_by(rs384)),
    invalid(22, "PS256 signature under RS256", signed_by(ps256)),
    invalid(23, "es256", lambda mint: compact(mint.header(alg="ES256"), mint.claims(), es256)),
    invalid(24, "zeros", lambda mint: compact(mint.header(alg="ES256"), mint.claims(), bytes(64))),
    *(
        invalid(25, f"alg {alg}", genuine(alg=alg))
        for alg in (DROP, ["RS256"], "rs256", None, "RS256 ")
    ),
    *(
        invalid(row, f"kid {kid}", genuine(kid=kid))
        for row, kid in (
            *((26, DROP), (26, "")),
            *((29, 1), (29, ["pool-key-1"]), (29, None), (29, {"kid": "pool-key-1"})),
        )
    ),
    *(
        invalid(row, f"kid {kid[:20]!r}", forged(kid=kid))
        for row, kid in (
            (27, "unknown"),
            (28, "../../dev/null"),
            (28, "' OR 1=1 --"),
            (28, "k" * 4096),
            (28, "a\x00b\r\nlevel=ERROR"),
            (30, "pool-key-1".replace("o", "о")),
        )
    ),
    invalid(31, "embedded jwk", lambda m: forged(jwk=ATTACKER.jwk(kid=m.key.kid))(m)),
    invalid(31, "embedded jwk, kid", forged(kid="attacker", jwk=ATTACKER.jwk())),
    *(
        invalid(32, f"{name} {url}", forged(**{name: url}))
        for name in ("jku", "x5u")
        for url in (METADATA, "file:///etc/passwd")
    ),
    accepted(33, "jku and a genuine signature", genuine(jku=METADATA)),
    accepted(33, "x5u and a genuine signature", genuine(x5u=METADATA)),
    invalid(34, "a header of 4 kib", genuine(x5c=["A" * 4096])),
    invalid(34, "x5c", forged(x5c=["MIIB" + "A" * 400])),
    *(
        invalid(row, f"crit {crit}", genuine(crit=crit))
        for row, crit in ((35, ["x-must"]), (36, []), (36, "exp"), (36, ["exp"]), (36, None))
    ),
    invalid(37, "b64 false", genuine(b64=False)),
    invalid(37, "b64 false, crit", genuine(b64=False, crit=["b64"])),
    invalid(
        38,
        "zip",
        lambda mint: mint.signed(
            zlib.compress(json.dumps(mint.claims()).encode())[2:-4], mint.header(zip="DEF")
        ),
    ),
    invalid(38, "zip over a plain payload", genuine(zip="DEF")),
    invalid(39, "jwe", lambda _: jwe({})),
    invalid(39, "pbes2 bomb", lambda _: jwe({"p2c": 2**31, "p2s": "c2FsdA"})),
    invalid(40, "nested", lambda m: m.signed(m.access_token().encode(), m.header(cty="JWT"))),
    *(
        invalid(41, f"segments {order}", segments(*order))
        for order in ((0, 1), (0, 1, 2, 0), (3, 1, 2), (0, 3, 2), (0, 1, 3), (3, 3, 3), (0,))
    ),
    *(
        invalid(42, f"header {head[:12]!r}", lambda mint, head=head: mint.signed(b"{}", head))
        for head in (b"RS256", b"[]", b'"RS256"', b"null", deep(700), b"\xff{}")
    ),
    too_large(42, "deep header", lambda mint: mint.signed(b"{}", deep(50_000))),
    *(
        invalid(43, f"payload {body[:12]!r}", raw(body))
        for body in (b"claims", b"[]", b'"claims"', b"null", b"1", deep(2000), b"{")
    ),
    too_large(43, "deep payload", raw(deep(100_000))),
    invalid(44, "invalid utf-8", with_text(b"\xc3\x28")),
    invalid(44, "surrogate in utf-8", with_text(b"\xed\xa0\x80")),
    invalid(44, "overlong utf-8", with_text(b"\xc0\xaf")),
    *(
        invalid(45, name, lambda m, name=name: m.signed(json.dumps(m.claims()).encode(name)))
        for name in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig")
    ),
    invalid(46, "lone surrogate", with_text(b"\\ud800")),
    invalid(46, "lone surrogate in a name", lambda m: m.access_token(**{"\udfff": 1})),
    accepted(46, "a surrogate pair", with_text(b"\\ud83e\\udd84")),
    invalid(47, "two clients", lambda mint: doubled(mint, "client_id", "evil", mint.client_id)),
    invalid(
        47, "two scopes", lambda m: doubled(m, "scope", "wildrydes/admin", "wildrydes/rides.read")
    ),
    invalid(47, "twice within", with_text(b'x","y":{"a":1,"a":2},"z":"')),
    invalid(
        48,
        "two algs",
        lambda mint: mint.signed(
            mint.claims(), object_text([("alg", "none"), *mint.header().items()])
        ),
    ),
    accepted(49, "__proto__", lambda m: m.access_token(__proto__={"admin": 1}, constructor={})),
    *(
        too_large(50, f"{size} unsigned", padded_unsigned(size))
        for size in (6 * 1024, 64 * 1024, 1024 * 1024)
    ),
    invalid(52, "payload swapped", grafted),
    invalid(52, "another key", forged()),
    *(
        invalid(row, name, signature_changed(change))
        for row, name, change in (
            (51, "truncated", lambda signature: signature[:-4]),
            (51, "flipped", flipped),
            (51, "zero", lambda signature: "A" * len(signature)),
            (51, "too long", lambda signature: signature[:-2] + "AAAA"),
            (51, "empty", lambda _: ""),
            (53, "unused bits", unused_bits_set),
            (54, "padded", lambda signature: signature + "=="),
            (55, "plain base64", in_plain_base64),
            (55, "junk inside", lambda signature: signature[:100] + "!!!!" + signature[100:]),
            (55, "newline inside", lambda signature: signature[:100] + "\n" + signature[100:]),
            (55, "percent at the end", lambda signature: signature + "%0A"),
        )
    ),
]
