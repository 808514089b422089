"""Rows 56 to 92: what the claims say. Most need the pool's key, so they are the second wall."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from service.auth import policy
from tests.support.hostile_case import Case, Token, accepted, forbidden, invalid, lacking, too_large
from tests.support.token_mint import DROP, ISSUER, POOL_ID, UPDATED_ISSUER, Mint, base64url

READ = "wildrydes/rides.read"
FAR_FUTURE = 4102444800
LEEWAY_SECONDS = 30
"""The verifier under test is set to this."""


def at(offset: int) -> int:
    return int(time.time()) + offset


def claims(**changes: object) -> Token:
    """An access token with these claims."""
    return lambda mint: mint.access_token(**changes)


def claiming(row: int, name: str, *values: object) -> list[Case]:
    """Refused because the claim has one of these values."""
    return [invalid(row, f"{name} {str(v)[:30]}", claims(**{name: v})) for v in values]


def with_number(name: str, number: str) -> Any:
    """A number json.dumps would not write."""
    return lambda mint: mint.signed(
        json.dumps(mint.claims(**{name: "MARK"})).replace('"MARK"', number).encode()
    )


def id_token(mint: Mint, **changes: object) -> str:
    claims = {"token_use": "id", "aud": mint.client_id, "client_id": DROP, "scope": DROP}
    return mint.access_token(**{**claims, **changes})


def admin(**changes: object) -> Token:
    return claims(**{"scope": "wildrydes/admin", "groups": ["admin"], **changes})


CASES = [
    invalid(56, "id token", id_token),
    invalid(57, "id token with a client", lambda m: id_token(m, client_id=m.client_id)),
    *claiming(58, "token_use", DROP, ["access"], "Access", "", None, True),
    invalid(59, "opaque refresh token", lambda _: base64url(secrets.token_bytes(600))),
    invalid(59, "refresh token", claims(token_use="refresh")),
    *claiming(
        60,
        "iss",
        ISSUER.replace(POOL_ID, "us-east-1_Another"),
        ISSUER.replace("us-east-1.", "eu-west-1."),
        ISSUER.replace("https", "http"),
        ISSUER + "/",
        ISSUER[:-1],
        ISSUER + "x",
        ISSUER.upper(),
        "",
    ),
    *claiming(61, "iss", DROP, [ISSUER], {"iss": ISSUER}, None),
    accepted(62, "updated issuer", claims(iss=UPDATED_ISSUER)),
    *claiming(63, "client_id", "other", "1example", DROP, None, 1),
    invalid(63, "client_id in a list", lambda mint: mint.access_token(client_id=[mint.client_id])),
    *claiming(64, "aud", "https://other.example.com", ["https://other.example.com"], "", [], None),
    invalid(64, "aud is the client", lambda mint: mint.access_token(aud=mint.client_id)),
    invalid(65, "expired a second ago", lambda mint: mint.access_token(exp=at(-1))),
    invalid(65, "expires now", lambda mint: mint.access_token(exp=at(0))),
    accepted(65, "about to expire", lambda mint: mint.access_token(exp=at(20))),
    accepted(65, "issued ahead of us", lambda m: m.access_token(iat=at(LEEWAY_SECONDS))),
    *claiming(66, "exp", DROP, None),
    *claiming(67, "exp", "1999999999", ""),
    *claiming(68, "exp", True, [FAR_FUTURE], {"exp": FAR_FUTURE}),
    *(
        invalid(row, f"exp {number[:10]}", with_number("exp", number))
        for row, number in (
            (69, "NaN"),
            (69, "Infinity"),
            (69, "-Infinity"),
            (69, "1e400"),
            (70, "1" + "0" * 30),
            (70, "9" * 4400),
            (70, "-1e20"),
            (70, "-1" + "0" * 30),
            (71, "1900000000.5"),
            (71, "1900000000.0"),
            (71, "19e8"),
        )
    ),
    invalid(69, "NaN anywhere", with_number("extra", "NaN")),
    invalid(72, "lives too long", lambda m: m.access_token(exp=at(86400 + LEEWAY_SECONDS + 10))),
    invalid(72, "issued long ago", lambda mint: mint.access_token(iat=at(-86400))),
    accepted(72, "a day", lambda mint: mint.access_token(iat=at(-5), exp=at(86390))),
    *(
        case
        for row, name in ((73, "nbf"), (74, "iat"), (75, "auth_time"))
        for case in claiming(row, name, FAR_FUTURE, "1", 1.5, True, None, [1])
    ),
    *(
        invalid(row, f"{name} ahead", lambda m, name=name: m.access_token(**{name: at(3600)}))
        for row, name in ((73, "nbf"), (74, "iat"), (75, "auth_time"))
    ),
    accepted(73, "nbf in the past", lambda mint: mint.access_token(nbf=at(-60))),
    *claiming(74, "iat", DROP),
    *claiming(75, "auth_time", DROP),
    *claiming(76, "sub", DROP, 1, "", None, ["a"]),
    *claiming(77, "jti", DROP, 1, "", None, ["a"]),
    *claiming(77, "origin_jti", 1, "", None, ["a"]),
    *claiming(77, "username", 1, "", None, ["a"]),
    invalid(77, "neither user nor machine", claims(username=DROP)),
    lacking(78, "no scope", claims(scope=DROP)),
    *claiming(79, "scope", [READ], None, 1, {READ: 1}),
    *(
        lacking(row, f"scope {scope!r}", claims(scope=scope))
        for row, scope in (
            (80, READ + "x"),
            (80, "x" + READ),
            (80, READ + ".all"),
            (80, "other/rides.read"),
            (80, "rides.read"),
            (81, "Wildrydes/Rides.Read"),
            (81, "wildrydes%2Frides.read"),
            (82, f"{READ}\twildrydes/rides.write"),
            (82, f"{READ}\nwildrydes/rides.write"),
            (82, f"{READ},wildrydes/rides.write"),
            (82, f"{READ}\xa0wildrydes/rides.write"),
            (83, READ.replace("a", "а")),
            (83, READ.replace("/", "／")),
            (83, READ + "\u200d"),
            (84, "wildrydes/*"),
            (84, "*"),
            (84, ""),
            (85, "aws.cognito.signin.user.admin"),
        )
    ),
    accepted(82, "double space", claims(scope=f"openid  {READ}")),
    too_large(
        86, "too many scopes", claims(scope=" ".join(f"wildrydes/{n}" for n in range(10_000)))
    ),
    too_large(86, "too many groups", admin(groups=[f"g{n}" for n in range(5000)])),
    *(
        forbidden(row, f"groups {groups}", admin(groups=groups), policy.ADMIN_READ)
        for row, groups in (
            (87, DROP),
            (87, []),
            (87, ["riders"]),
            (90, ["Admin"]),
            (90, ["admin "]),
            (90, ["administrators"]),
            (90, ["admin,riders"]),
        )
    ),
    *(
        invalid(row, f"groups {groups}", admin(groups=groups), policy.ADMIN_READ)
        for row, groups in (
            (88, "admin"),
            (88, "superadmin"),
            (89, {"admin": 1}),
            (89, [["admin"]]),
            (89, [1]),
            (89, None),
            (89, ["admin", None]),
        )
    ),
    *(
        forbidden(91, name, admin(groups=DROP, **{name: ["admin"]}), policy.ADMIN_READ)
        for name in ("roles", "custom:groups", "cognito:roles", "Cognito:Groups")
    ),
    forbidden(
        91,
        "plain groups",
        lambda m: m.signed({**m.claims(scope="wildrydes/admin"), "groups": ["admin"]}),
        policy.ADMIN_READ,
    ),
    accepted(87, "an admin", admin(), policy.ADMIN_WRITE),
    lacking(87, "group without scope", admin(scope=READ), policy.ADMIN_READ),
    forbidden(87, "a dispatcher writes", admin(groups=["dispatcher"]), policy.ADMIN_WRITE),
    forbidden(92, "a machine as a rider", lambda m: m.machine_token(scope=READ), policy.RIDES_READ),
    forbidden(
        92, "a user as a machine", claims(scope="wildrydes/fleet.telemetry"), policy.FLEET_TELEMETRY
    ),
    forbidden(
        92,
        "a machine in the admin group",
        lambda mint: mint.machine_token(scope="wildrydes/admin", groups=["admin"]),
        policy.ADMIN_READ,
    ),
    accepted(92, "a machine", lambda mint: mint.machine_token(), policy.FLEET_TELEMETRY),
]
