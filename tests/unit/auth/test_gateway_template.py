"""docker/ecs/gateway.yaml: each route's policy arrives in each of the three variants."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

import pytest

from service.auth.gateway import read_facts
from service.auth.policy import RIDES_WRITE, SCOPES
from service.auth.revocation import RevocationCheck
from service.entrypoints import authorizer
from service.http.gateway import HEADER
from service.http.headers import LONGEST_WAIT_SECONDS
from service.http.route import Route
from service.local.gateway import POLICIES, key_of, name_of, rewritten, routes, scopes_of
from service.settings import ApiSettings
from service.stores.revocations import DynamoRevocations
from tests.support import templates
from tests.support.api import a_principal
from tests.support.templates import ECS, resources_of

TEMPLATE: Final = ECS / "gateway.yaml"
VARIANTS: Final = ("cognito", "iam", "lambda")
GUARDED: Final = [route for route in routes() if not route.policy.is_public]
OPEN: Final = [route for route in routes() if route.policy.is_public]
PROOF: Final = "a" * 64


@cache
def stack(variant: str) -> Mapping[str, Any]:
    return resources_of(
        TEMPLATE.name,
        Authorizer=variant,
        UserPoolId="us-east-1_Example",
        RiderRole="rider",
        Api="api",
    )


def of_kind(variant: str, kind: str) -> Mapping[str, Any]:
    return templates.of_kind(stack(variant), kind)


def test_the_template_has_the_routes_of_the_code() -> None:
    """Otherwise: make gateway."""
    assert rewritten(TEMPLATE.read_text()) == TEMPLATE.read_text()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_route_but_streams_is_there_and_nothing_else(variant: str) -> None:
    keys = {each["RouteKey"] for each in of_kind(variant, "AWS::ApiGatewayV2::Route").values()}
    assert keys == {key_of(route) for route in routes()} | {"OPTIONS /{proxy+}"}
    assert not any(key.endswith("/events") for key in keys)
    assert len(keys) <= 300  # routes of an API (API Gateway's quota)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("route", OPEN, ids=key_of)
def test_a_public_route_is_open(variant: str, route: Route) -> None:
    declared = stack(variant)[name_of(route)]["Properties"]
    assert declared["AuthorizationType"] == "NONE"
    assert "AuthorizerId" not in declared


@pytest.mark.parametrize("route", GUARDED, ids=key_of)
def test_with_tokens_a_route_needs_one_of_its_scopes(route: Route) -> None:
    """API Gateway wants at least one of the scopes of a route."""
    declared = stack("cognito")[name_of(route)]["Properties"]
    assert declared["AuthorizationType"] == "JWT"
    assert declared["AuthorizerId"] == "TokenAuthorizer"
    assert [(scope,) for scope in declared["AuthorizationScopes"]] == list(
        route.policy.alternatives
    )


@pytest.mark.parametrize("route", GUARDED, ids=key_of)
def test_with_signatures_a_route_is_in_the_iam_policies_of_its_scopes(route: Route) -> None:
    declared = stack("iam")[name_of(route)]["Properties"]
    assert declared["AuthorizationType"] == "AWS_IAM"
    assert declared.keys() & {"AuthorizerId", "AuthorizationScopes"} == set()
    path = re.sub(r"\{\w+\}", "ride-1", key_of(route).replace(" ", "", 1))
    arn = f"arn:aws:execute-api:us-east-1:123456789012:api/$default/{path}"
    assert {scope for scope in SCOPES if allows(scope, arn)} == set(scopes_of(route)) & set(SCOPES)


def allows(scope: str, arn: str) -> bool:
    (statement,) = of_kind("iam", "AWS::IAM::ManagedPolicy")[POLICIES[scope]]["PolicyDocument"][
        "Statement"
    ]
    assert statement["Action"] == "execute-api:Invoke"
    return any(fnmatchcase(arn, each) for each in statement["Resource"])


def test_a_policy_for_iam_is_not_too_long_and_riders_get_theirs() -> None:
    policies = of_kind("iam", "AWS::IAM::ManagedPolicy")
    assert policies.keys() == set(POLICIES.values())
    for policy in policies.values():
        # IAM counts no white space. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        assert len(json.dumps(policy["PolicyDocument"], separators=(",", ":"))) < 6144
    attached = {name for name, policy in policies.items() if policy.get("Roles")}
    assert attached == {"RidesReadPolicy", "RidesWritePolicy"}


@pytest.mark.parametrize("variant", ["cognito", "lambda"])
def test_no_role_gets_rights_where_tokens_count(variant: str) -> None:
    assert of_kind(variant, "AWS::IAM::ManagedPolicy") == {}


@pytest.mark.parametrize("route", GUARDED, ids=key_of)
def test_with_the_function_a_route_is_judged_by_the_application(route: Route) -> None:
    """By the route that the function finds for the request, with the policy of the code."""
    declared = stack("lambda")[name_of(route)]["Properties"]
    assert declared["AuthorizationType"] == "CUSTOM"
    assert declared["AuthorizerId"] == "FunctionAuthorizer"
    method, _, path = declared["RouteKey"].partition(" ")
    given = re.sub(r"\{\w+\}", "accept" if path.endswith("{step}") else "ride-1", path)
    request = authorizer.GatewayRequest("arn", method, given, None)
    found = authorizer._route(authorizer.route_map(), request)
    assert (found.rule, found.policy) == (route.rule, route.policy)


def test_the_function_is_ours_and_no_answer_of_it_is_kept() -> None:
    function = stack("lambda")["Function"]["Properties"]
    module, _, name = function["Handler"].rpartition(".")
    assert module == authorizer.__name__
    assert callable(getattr(authorizer, name))
    own = stack("lambda")["FunctionAuthorizer"]["Properties"]
    assert own["EnableSimpleResponses"] is (name == "handle_simply")
    assert own["AuthorizerResultTtlInSeconds"] == 0
    given = {each.lower() for each in function["Environment"]["Variables"]} | {"aws_region"}
    required = {name for name, each in ApiSettings.model_fields.items() if each.is_required()}
    assert required <= given <= ApiSettings.model_fields.keys()


def test_the_function_may_make_the_call_to_the_table_that_it_makes_and_no_other() -> None:
    made: list[str] = []

    class Client:
        def __getattr__(self, operation: str) -> Any:
            made.append(operation.title().replace("_", ""))
            return lambda **_: {"Responses": {}}

    store: Any = Client()
    check = RevocationCheck(DynamoRevocations(store, "Operations"))
    check.check(a_principal(), RIDES_WRITE, "POST", datetime.now(UTC))
    (policy,) = stack("lambda")["FunctionRole"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    granted = {action for each in statements for action in each["Action"] if "dynamodb" in action}
    assert granted == {f"dynamodb:{operation}" for operation in made}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_header_is_written_whole_on_every_request(variant: str) -> None:
    (integration,) = of_kind(variant, "AWS::ApiGatewayV2::Integration").values()
    ((key, value),) = integration["RequestParameters"].items()
    assert key == f"overwrite:header.{HEADER.lower()}"
    targets = {each["Target"] for each in of_kind(variant, "AWS::ApiGatewayV2::Route").values()}
    assert targets == {"integrations/Integration"}
    proof, _, rest = value.replace(
        "{{resolve:secretsmanager:Proofs:SecretString:a}}", PROOF
    ).partition(";")
    assert proof == PROOF, "a constant stands first: the header is never left as the client sent it"
    assert "request.header" not in rest


VALUES: Final = {
    "userArn": "arn:aws:sts::123456789012:assumed-role/r/CognitoIdentityCredentials",
    "sourceIp": "203.0.113.9",
    "cognitoAuthenticationType": "authenticated",
    "cognitoIdentityPoolId": "us-east-1:pool",
    "cognitoIdentityId": "us-east-1:id",
    "cognitoAuthenticationProvider": "p,p:CognitoSignIn:sub",
}


@pytest.mark.parametrize("absent", [None, "", "-"])
def test_the_service_reads_what_the_template_lets_the_gateway_write(absent: str | None) -> None:
    """Also where a variable has no value, as for a token or a role without an identity."""
    (value,) = stack("iam")["Integration"]["Properties"]["RequestParameters"].values()
    written = value.replace("{{resolve:secretsmanager:Proofs:SecretString:a}}", PROOF)
    for name, text in VALUES.items():
        written = written.replace(
            f"${{context.identity.{name}}}", text if absent is None else absent
        )
    said = read_facts(written, [PROOF])
    assert said is not None
    expected = {name: text if absent is None else "" for name, text in VALUES.items()}
    assert (said.caller_arn, said.address) == (expected["userArn"], expected["sourceIp"])
    assert said.identity_type == expected["cognitoAuthenticationType"]
    assert said.identity_pool_id == expected["cognitoIdentityPoolId"]
    assert said.identity_id == expected["cognitoIdentityId"]
    assert said.provider == expected["cognitoAuthenticationProvider"]


def test_only_the_gateways_link_reaches_its_balancer() -> None:
    groups = of_kind("iam", "AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in groups["LinkSecurityGroup"]
    (ingress,) = groups["BalancerSecurityGroup"]["SecurityGroupIngress"]
    assert ingress["SourceSecurityGroupId"] == "LinkSecurityGroup"
    assert stack("iam")["Balancer"]["Properties"]["Scheme"] == "internal"
    assert stack("iam")["Listener"]["Properties"]["Protocol"] == "HTTPS"
    assert "ServerNameToVerify" in stack("iam")["Integration"]["Properties"]["TlsConfig"]


def test_both_proofs_have_a_name_and_the_first_is_made() -> None:
    made = stack("iam")["Proofs"]["Properties"]["GenerateSecretString"]
    names = {made["GenerateStringKey"], *json.loads(made["SecretStringTemplate"])}
    text = TEMPLATE.read_text()
    assert f"AllowedValues: [{', '.join(sorted(names))}]" in text
    assert made["PasswordLength"] >= 32
    assert made["ExcludePunctuation"] is True


def test_identities_are_given_credentials_for_an_hour_and_only_while_signed_in() -> None:
    """What `CREDENTIALS_SECONDS` and revocation by `sub` rest on."""
    identity = (ECS / "identity.yaml").read_text()
    assert "AllowClassicFlow: false" in identity
    assert "AllowUnauthenticatedIdentities: false" in identity
    assert identity.count("ServerSideTokenCheck: true") == identity.count("- ClientId: ")


def test_a_long_poll_can_last_as_long_as_the_gateway_waits() -> None:
    """Why long polls belong to the balancer, as GATEWAY.md says: 30 s is an HTTP API's limit."""
    limit = stack("iam")["Integration"]["Properties"]["TimeoutInMillis"]
    assert limit == 30_000 <= LONGEST_WAIT_SECONDS * 1000
