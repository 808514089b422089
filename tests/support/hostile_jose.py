"""Rows 18 to 55: algorithms, keys, headers, shapes and encodings."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.hostile_case import accepted, invalid, too_large
from tests.support.token_mint import DROP, Json, Mint, SigningKey, base64url, compact

ATTACKER = SigningKey("attacker")
METADATA = "http://169.254.169.254/latest/meta-data/"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def genuine(mint: Mint, **header: object) -> str:
    """Signed by the pool, with a changed header."""
    return mint.signed(mint.claims(), mint.header(**header))


def forged(mint: Mint, **header: object) -> str:
    """The same, signed by the attacker."""
    return compact(mint.header(**header), mint.claims(), ATTACKER.sign)


def unsigned(mint: Mint, algorithm: str) -> str:
    return compact(mint.header(alg=algorithm), mint.claims(), b"")


def keyed(mint: Mint, secret: bytes) -> str:
    """HS256 with a public text as the secret."""
    return compact(
        mint.header(alg="HS256"),
        mint.claims(),
        lambda message: hmac.new(secret, message, hashlib.sha256).digest(),
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


def raw(mint: Mint, payload: bytes) -> str:
    return mint.signed(payload)


def doubled(mint: Mint, name: str, *values: object) -> str:
    """Claims in which `name` occurs once per value."""
    members = [*mint.claims(**{name: DROP}).items(), *((name, value) for value in values)]
    return raw(mint, object_text(members))


def object_text(members: list[tuple[str, Any]]) -> bytes:
    return ("{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in members) + "}").encode()


def with_text(mint: Mint, text: bytes) -> str:
    """Good claims whose `username` is replaced by these bytes."""
    claims = json.dumps(mint.claims(username="MARK")).encode()
    return raw(mint, claims.replace(b"MARK", text))


def signature_changed(mint: Mint, change: Any) -> str:
    signed, _, signature = mint.access_token().rpartition(".")
    return f"{signed}.{change(signature)}"


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


def segments(mint: Mint, *order: int) -> str:
    parts = [*mint.access_token().split("."), ""]
    return ".".join(parts[index] for index in order)


def jwe(extra: Json) -> str:
    header = json.dumps({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", **extra}).encode()
    return ".".join([base64url(header), *(base64url(b"x" * 16) for _ in range(4))])


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def padded_unsigned(mint: Mint, size: int) -> str:
    return compact(mint.header(), mint.claims(padding="x" * size), b"")


CASES = [
    invalid(18, "alg none", lambda mint: unsigned(mint, "none")),
    invalid(19, "alg nOnE", lambda mint: unsigned(mint, "nOnE")),
    invalid(19, "alg none with a genuine signature", lambda mint: genuine(mint, alg="none")),
    invalid(20, "hs256 with the pem", lambda mint: keyed(mint, public_pem(mint))),
    invalid(
        21, "hs256 with the jwk", lambda mint: keyed(mint, json.dumps(mint.key.jwk()).encode())
    ),
    *(
        invalid(
            22,
            f"{name} by the pool key",
            lambda mint, name=name, sign=sign: compact(
                mint.header(alg=name), mint.claims(), lambda m: sign(mint.key.private, m)
            ),
        )
        for name, sign in (("RS384", rs384), ("PS256", ps256))
    ),
    *(
        invalid(
            22,
            f"{name} signature under RS256",
            lambda mint, sign=sign: compact(
                mint.header(), mint.claims(), lambda m: sign(mint.key.private, m)
            ),
        )
        for name, sign in (("RS384", rs384), ("PS256", ps256))
    ),
    invalid(23, "es256", lambda mint: compact(mint.header(alg="ES256"), mint.claims(), es256)),
    invalid(24, "zeros", lambda mint: compact(mint.header(alg="ES256"), mint.claims(), bytes(64))),
    *(
        invalid(25, f"alg {alg}", lambda mint, alg=alg: genuine(mint, alg=alg))
        for alg in (DROP, ["RS256"], "rs256", None, "RS256 ")
    ),
    *(
        invalid(26, f"kid {kid}", lambda mint, kid=kid: genuine(mint, kid=kid))
        for kid in (DROP, "")
    ),
    *(
        invalid(row, f"kid {kid[:20]!r}", lambda mint, kid=kid: forged(mint, kid=kid))
        for row, kid in (
            (27, "unknown"),
            (28, "../../dev/null"),
            (28, "' OR 1=1 --"),
            (28, "k" * 4096),
            (28, "a\x00b\r\nlevel=ERROR"),
            (30, "pool-key-1".replace("o", "о")),
        )
    ),
    *(
        invalid(29, f"kid {kid}", lambda mint, kid=kid: genuine(mint, kid=kid))
        for kid in (1, ["pool-key-1"], None, {"kid": "pool-key-1"})
    ),
    invalid(31, "embedded jwk", lambda mint: forged(mint, jwk=ATTACKER.jwk(kid=mint.key.kid))),
    invalid(31, "embedded jwk, kid", lambda m: forged(m, kid="attacker", jwk=ATTACKER.jwk())),
    *(
        invalid(32, f"{name} {url}", lambda mint, name=name, url=url: forged(mint, **{name: url}))
        for name in ("jku", "x5u")
        for url in (METADATA, "file:///etc/passwd")
    ),
    accepted(33, "jku and a genuine signature", lambda mint: genuine(mint, jku=METADATA)),
    accepted(33, "x5u and a genuine signature", lambda mint: genuine(mint, x5u=METADATA)),
    invalid(34, "a header of 4 kib", lambda mint: genuine(mint, x5c=["A" * 4096])),
    invalid(34, "x5c", lambda mint: forged(mint, x5c=["MIIB" + "A" * 400])),
    *(
        invalid(row, f"crit {crit}", lambda mint, crit=crit: genuine(mint, crit=crit))
        for row, crit in ((35, ["x-must"]), (36, []), (36, "exp"), (36, ["exp"]), (36, None))
    ),
    invalid(37, "b64 false", lambda mint: genuine(mint, b64=False)),
    invalid(37, "b64 false, crit", lambda mint: genuine(mint, b64=False, crit=["b64"])),
    invalid(
        38,
        "zip",
        lambda mint: mint.signed(
            zlib.compress(json.dumps(mint.claims()).encode())[2:-4], mint.header(zip="DEF")
        ),
    ),
    invalid(38, "zip over a plain payload", lambda mint: genuine(mint, zip="DEF")),
    invalid(39, "jwe", lambda _: jwe({})),
    invalid(39, "pbes2 bomb", lambda _: jwe({"p2c": 2**31, "p2s": "c2FsdA"})),
    invalid(40, "nested", lambda m: m.signed(m.access_token().encode(), m.header(cty="JWT"))),
    *(
        invalid(41, f"segments {order}", lambda mint, order=order: segments(mint, *order))
        for order in ((0, 1), (0, 1, 2, 0), (3, 1, 2), (0, 3, 2), (0, 1, 3), (3, 3, 3), (0,))
    ),
    *(
        invalid(42, f"header {head[:12]!r}", lambda mint, head=head: mint.signed(b"{}", head))
        for head in (b"RS256", b"[]", b'"RS256"', b"null", deep(700), b"\xff{}")
    ),
    too_large(42, "deep header", lambda mint: mint.signed(b"{}", deep(50_000))),
    *(
        invalid(43, f"payload {body[:12]!r}", lambda mint, body=body: raw(mint, body))
        for body in (b"claims", b"[]", b'"claims"', b"null", b"1", deep(2000), b"{")
    ),
    too_large(43, "deep payload", lambda mint: raw(mint, deep(100_000))),
    invalid(44, "invalid utf-8", lambda mint: with_text(mint, b"\xc3\x28")),
    invalid(44, "surrogate in utf-8", lambda mint: with_text(mint, b"\xed\xa0\x80")),
    invalid(44, "overlong utf-8", lambda mint: with_text(mint, b"\xc0\xaf")),
    *(
        invalid(
            45,
            encoding,
            lambda mint, encoding=encoding: raw(mint, json.dumps(mint.claims()).encode(encoding)),
        )
        for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig")
    ),
    invalid(46, "lone surrogate", lambda mint: with_text(mint, b"\\ud800")),
    invalid(46, "lone surrogate in a name", lambda m: m.access_token(**{"\udfff": 1})),
    accepted(46, "a surrogate pair", lambda mint: with_text(mint, b"\\ud83e\\udd84")),
    invalid(47, "two clients", lambda mint: doubled(mint, "client_id", "evil", mint.client_id)),
    invalid(
        47, "two scopes", lambda m: doubled(m, "scope", "wildrydes/admin", "wildrydes/rides.read")
    ),
    invalid(47, "twice within", lambda m: with_text(m, b'x","y":{"a":1,"a":2},"z":"')),
    invalid(
        48,
        "two algs",
        lambda mint: mint.signed(
            mint.claims(), object_text([("alg", "none"), *mint.header().items()])
        ),
    ),
    accepted(49, "__proto__", lambda m: m.access_token(__proto__={"admin": 1}, constructor={})),
    *(
        too_large(50, f"{size} unsigned", lambda mint, size=size: padded_unsigned(mint, size))
        for size in (6 * 1024, 64 * 1024, 1024 * 1024)
    ),
    *(
        invalid(51, name, lambda mint, change=change: signature_changed(mint, change))
        for name, change in (
            ("truncated", lambda signature: signature[:-4]),
            ("flipped", flipped),
            ("zero", lambda signature: "A" * len(signature)),
            ("too long", lambda signature: signature[:-2] + "AAAA"),
            ("empty", lambda _: ""),
        )
    ),
    invalid(52, "payload swapped", grafted),
    invalid(52, "another key", forged),
    *(
        invalid(row, name, lambda mint, change=change: signature_changed(mint, change))
        for row, name, change in (
            (53, "unused bits", unused_bits_set),
            (54, "padded", lambda signature: signature + "=="),
            (55, "plain base64", in_plain_base64),
            (55, "junk inside", lambda signature: signature[:100] + "!!!!" + signature[100:]),
            (55, "newline inside", lambda signature: signature[:100] + "\n" + signature[100:]),
            (55, "percent at the end", lambda signature: signature + "%0A"),
        )
    ),
]
