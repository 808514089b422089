"""Users and roles for whom our API Gateway vouches, and everybody who only says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from service.auth.gateway import CREDENTIALS_SECONDS, GatewayCallers, GatewayFacts, read_facts
from service.auth.principal import TokenKind
from service.auth.roles import RoleGrants
from service.http.gateway import HEADER
from tests.support.api import Api, build_api
from tests.support.builders import NOW

PROOF, NEXT = "a" * 32, "b" * 32
SUB = "0f3a1c9e-1111-4222-8333-0123456789ab"
POOL = "cognito-idp.us-east-1.amazonaws.com/us-east-1_Example"
IDENTITIES = "us-east-1:00000000-0000-4000-8000-000000000001"
IDENTITY = "us-east-1:00000000-0000-4000-8000-000000000002"
ACCOUNT = "123456789012"
RIDER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/rides-RiderRole-1"
PROGRAM_ROLE = f"arn:aws:iam::{ACCOUNT}:role/telemetry"
RIDER = f"arn:aws:sts::{ACCOUNT}:assumed-role/rides-RiderRole-1/CognitoIdentityCredentials"
PROGRAM = f"arn:aws:sts::{ACCOUNT}:assumed-role/telemetry/i-1"
SIGNED = "AWS4-HMAC-SHA256 Credential=ASIA/20261126/us-east-1/execute-api/aws4_request"
SAID = GatewayFacts(
    RIDER,
    "203.0.113.9",
    "authenticated",
    IDENTITIES,
    IDENTITY,
    f"{POOL},{POOL}:CognitoSignIn:{SUB}",
)
NOTHING = GatewayFacts("", "203.0.113.9", "", "", "", "")
SETTINGS = {
    "gateway_proofs": {"a": PROOF, "b": NEXT},
    "identity_pool_id": IDENTITIES,
    "identity_role_scopes": {RIDER_ROLE: ("wildrydes/rides.read", "wildrydes/rides.write")},
    "iam_role_scopes": {PROGRAM_ROLE: ("wildrydes/fleet.telemetry",)},
    "trusted_proxy_hops": 1,
}


def header(said: GatewayFacts = SAID, proof: str = PROOF) -> str:
    """As docker/ecs/gateway.yaml lets the gateway write it."""
    parts = (
        *(said.caller_arn, said.address, said.identity_type),
        *(said.identity_pool_id, said.identity_id, said.provider),
    )
    return ";".join((proof, *parts))


@pytest.fixture
def api() -> Api:
    return build_api(**SETTINGS)


def me(api: Api, *values: str, authorization: str | None = SIGNED, **more: str) -> tuple[int, str]:
    """The status of `GET /v1/me` with these values of the gateway's header, and who it is."""
    headers = [(HEADER, value) for value in values] + list(more.items())
    if authorization is not None:
        headers.append(("Authorization", authorization))
    answer = api.app.test_client().get("/v1/me", headers=headers)
    body = answer.get_json()
    return answer.status_code, body.get("sub") or body["reason"]


def test_a_rider_with_credentials_of_the_identity_pool_is_a_user(api: Api) -> None:
    assert me(api, header()) == (200, SUB)


def test_the_riders_rides_are_the_same_as_with_a_token(api: Api) -> None:
    body = {"pickup": {"latitude": 40.7, "longitude": -74.0}}
    headers = {HEADER: header(), "Authorization": SIGNED}
    made = api.call("POST", "/v1/rides", body, token=None, headers=headers)
    assert made.status_code == 202
    ride = api.ports.rides.get(made.get_json()["ride_id"])
    assert ride.rider_id == SUB


def test_the_scopes_are_those_of_the_role_and_no_more(api: Api) -> None:
    headers = {HEADER: header(), "Authorization": SIGNED}
    for path in ("/v1/admin/rides", "/v1/fleet/me"):
        answer = api.call("GET", path, token=None, headers=headers)
        assert (answer.status_code, answer.get_json()["reason"]) == (403, "insufficient_scope")


def test_a_program_with_a_role_is_a_machine_without_a_call_to_sts(api: Api) -> None:
    said = replace(NOTHING, caller_arn=PROGRAM)
    headers = {HEADER: header(said), "Authorization": SIGNED}
    body = {"positions": []}
    answer = api.call("POST", "/v1/fleet/positions", body, token=None, headers=headers)
    assert answer.status_code not in {401, 403}
    assert me(api, header(said)) == (403, "insufficient_scope")


@pytest.mark.parametrize("proof", [PROOF, NEXT])
def test_two_proofs_are_good_at_a_time_so_that_each_can_be_changed(api: Api, proof: str) -> None:
    assert me(api, header(proof=proof)) == (200, SUB)


FROM_OUTSIDE: Mapping[str, tuple[str, ...]] = {
    "no proof": (header(proof=""),),
    "another proof": (header(proof="c" * 32),),
    "a part of the proof": (header(proof=PROOF[:-1]),),
    "more than the proof": (header(proof=PROOF + "a"),),
    "both proofs": (header(proof=PROOF + NEXT),),
    "the proof in capitals": (header(proof=PROOF.upper()),),
    "a space before the proof": (header(proof=f"x{PROOF}"),),
    "the proof behind what it vouches for": (";".join((header(proof="")[1:], PROOF)),),
    "the proof alone": (PROOF,),
    "a part too few": (header().rpartition(";")[0],),
    "not ASCII": (header(proof="\xe4" * 32),),
    "full-width letters": (header(proof="\xef\xbd\x81" * 32),),
    "escaped": (header(proof="%61" * 32),),
    "two values, both wrong": (header(proof="c" * 32), header(proof="d" * 32)),
    "two values, the second right": (header(proof="c" * 32), header()),
}
"""What somebody outside could send; the first header of two is the gateway's place to write."""


@pytest.mark.parametrize("values", FROM_OUTSIDE.values(), ids=FROM_OUTSIDE)
def test_the_header_without_the_proof_counts_as_none(api: Api, values: tuple[str, ...]) -> None:
    assert me(api, *values) == (401, "missing_token")
    assert me(api, *values, authorization=None) == (401, "missing_token")
    assert me(api, *values, authorization="Bearer rider") == (200, "rider-1")


def test_a_repeated_header_admits_no_user_of_another_pool(api: Api) -> None:
    """Joined to one value the second is a part of the provider, which must fit exactly."""
    assert me(api, header(), header()) == (401, "invalid_token")


def test_nothing_is_believed_without_the_setting() -> None:
    api = build_api(**{**SETTINGS, "gateway_proofs": {}})
    for proof in (PROOF, ""):
        assert me(api, header(proof=proof)) == (401, "missing_token")


def test_an_underscore_in_the_name_of_the_header_is_not_the_gateways(api: Api) -> None:
    """Over WSGI both names are one; the proof decides. The server drops such headers besides."""
    forged = {"X_WildRydes_Gateway": header(proof="c" * 32)}
    assert me(api, **forged) == (401, "missing_token")


def test_a_signature_and_a_token_in_the_query_are_two_credentials(api: Api) -> None:
    headers = {HEADER: header(), "Authorization": SIGNED}
    answer = api.call("GET", "/v1/me?access_token=rider", token=None, headers=headers)
    assert (answer.status_code, answer.get_json().get("reason")) == (400, "malformed_header")


OTHER = POOL.replace("Example", "Foreign")
NOT_OURS: Mapping[str, GatewayFacts] = {
    "unauthenticated": replace(SAID, identity_type="unauthenticated"),
    "unauthenticated, without a provider": replace(
        SAID, identity_type="unauthenticated", provider=""
    ),
    "no type": replace(SAID, identity_type=""),
    "another identity pool": replace(SAID, identity_pool_id=IDENTITIES[:-1] + "9"),
    "no identity pool": replace(SAID, identity_pool_id=""),
    "no identity": replace(SAID, identity_id=""),
    "an identity that is none": replace(SAID, identity_id="us-east-1:x"),
    "no provider": replace(SAID, provider=""),
    "another user pool": replace(SAID, provider=f"{OTHER},{OTHER}:CognitoSignIn:{SUB}"),
    "first ours, then another": replace(SAID, provider=f"{POOL},{OTHER}:CognitoSignIn:{SUB}"),
    "two users": replace(SAID, provider=f"{SAID.provider},{SAID.provider}"),
    "a user behind the user": replace(SAID, provider=f"{SAID.provider}:CognitoSignIn:{SUB}"),
    "another way to sign in": replace(SAID, provider=f"{POOL},{POOL}:Facebook:{SUB}"),
    "a pool whose name begins like ours": replace(
        SAID, provider=f"{POOL}x,{POOL}x:CognitoSignIn:{SUB}"
    ),
    "no user": replace(SAID, provider=f"{POOL},{POOL}:CognitoSignIn:"),
    "a user that is no uuid": replace(SAID, provider=f"{POOL},{POOL}:CognitoSignIn:admin"),
    "a line break behind the user": replace(SAID, provider=f"{SAID.provider}\x0b"),
    "a role of a program": replace(SAID, caller_arn=PROGRAM),
    "a role of another account": replace(SAID, caller_arn=RIDER.replace(ACCOUNT, "210987654321")),
    "a role whose name begins like ours": replace(
        SAID, caller_arn=RIDER.replace("RiderRole-1/", "RiderRole-12/")
    ),
    "an IAM user": replace(NOTHING, caller_arn=f"arn:aws:iam::{ACCOUNT}:user/rider"),
    "the root user": replace(NOTHING, caller_arn=f"arn:aws:iam::{ACCOUNT}:root"),
    "a user's role without an identity": replace(NOTHING, caller_arn=RIDER),
}


@pytest.mark.parametrize("said", NOT_OURS.values(), ids=NOT_OURS)
def test_the_gateways_word_on_somebody_else_is_refused(api: Api, said: GatewayFacts) -> None:
    assert me(api, header(said)) == (401, "invalid_token")


@pytest.mark.parametrize(
    "authorization", ["Bearer rider", "WildRydes-IAM e30", "aws4-hmac-sha256 x"]
)
def test_a_signature_and_other_credentials_are_one_too_many(api: Api, authorization: str) -> None:
    assert me(api, header(), authorization=authorization) == (400, "malformed_header")


def test_a_signature_in_the_query_has_no_header(api: Api) -> None:
    assert me(api, header(), authorization=None) == (200, SUB)


def test_through_the_gateway_a_token_is_judged_as_ever(api: Api) -> None:
    """The variants with tokens: the gateway vouches for nobody, only for the address."""
    for authorization, expected in (
        ("Bearer rider", (200, "rider-1")),
        ("Bearer forged", (401, "invalid_token")),
        (None, (401, "missing_token")),
    ):
        assert me(api, header(NOTHING), authorization=authorization) == expected


def test_a_user_who_signed_out_is_refused_until_the_credentials_of_before_have_ended(
    api: Api,
) -> None:
    headers = {HEADER: header(), "Authorization": SIGNED}
    assert api.call("POST", "/v1/me/sign-out", {}, token=None, headers=headers).status_code == 204
    api.pass_time(CREDENTIALS_SECONDS - 1)
    assert me(api, header()) == (401, "invalid_token")
    api.pass_time(3)
    assert me(api, header()) == (200, SUB)


def test_a_revoked_user_is_refused_while_credentials_of_before_can_live(api: Api) -> None:
    admin = {"sub": SUB}
    assert api.call("POST", "/v1/admin/revocations", admin, token="admin").status_code < 300
    assert me(api, header()) == (401, "invalid_token")
    api.pass_time(CREDENTIALS_SECONDS - 1)
    assert me(api, header()) == (401, "invalid_token")
    api.pass_time(3)
    assert me(api, header()) == (200, SUB)


def test_one_address_behind_the_gateway_is_limited_and_no_other() -> None:
    """The gateway's own address is everybody's, so it must not be the one that counts."""
    api = build_api(**SETTINGS, rate_limit_failures="2/minute")
    guessing = header(replace(NOTHING, address="203.0.113.66"))
    statuses = [me(api, guessing, authorization="Bearer forged")[0] for _ in range(4)]
    assert statuses[-1] == 429
    assert me(api, header(NOTHING), authorization="Bearer forged")[0] == 401


def test_no_view_and_no_log_sees_the_header(api: Api) -> None:
    seen: list[str | None] = []

    def look() -> None:
        from flask import request

        seen.append(request.headers.get(HEADER))

    api.app.before_request(look)
    me(api, header())
    assert seen == [None]


def principal_of(said: GatewayFacts) -> tuple[str, str]:
    grants = RoleGrants(SETTINGS["identity_role_scopes"], {RIDER_ROLE: ["unicorns"]})  # type: ignore[arg-type]
    callers = GatewayCallers([f"https://{POOL}"], IDENTITIES, grants, RoleGrants({}))
    found = callers.verify(said, None, False, NOW.timestamp())
    assert found.kind is TokenKind.USER
    assert found.expires_at > NOW.timestamp() > found.issued_at
    assert found.issued_at == int((NOW - timedelta(seconds=CREDENTIALS_SECONDS)).timestamp())
    return found.subject, " ".join(found.groups)


def test_a_programs_signature_is_good_for_five_minutes() -> None:
    callers = GatewayCallers([], "", RoleGrants({}), RoleGrants(SETTINGS["iam_role_scopes"]))  # type: ignore[arg-type]
    found = callers.verify(replace(NOTHING, caller_arn=PROGRAM), SIGNED, False, NOW.timestamp())
    now = int(NOW.timestamp())
    assert (found.issued_at, found.expires_at) == (now - 300, now + 300)


def test_a_role_brings_the_groups_that_its_rule_stands_for() -> None:
    assert principal_of(SAID) == (SUB, "unicorns")


@pytest.mark.parametrize("absent", ["", "-"])
def test_both_ways_to_write_what_is_absent_are_read(absent: str) -> None:
    said = read_facts(";".join((PROOF, PROGRAM, "203.0.113.9", *[absent] * 4)), [PROOF])
    assert said == replace(NOTHING, caller_arn=PROGRAM)
