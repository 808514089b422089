"""The templates of the identity side agree with the handlers, the policies and each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import pytest

from service.api import pages
from service.auth import policy
from service.identity import aws, events, grants, sign_in
from tests.support.cognito_events import SHAPES
from tests.support.infrastructure import PROJECT
from tests.unit.test_ecs_templates import resources, template

ROOM: Final = PROJECT / "service" / "identity"
POOL_ARN: Final = (
    "arn:${AWS::Partition}:cognito-idp:${AWS::Region}:${AWS::AccountId}:userpool/${UserPoolId}"
)
LIFETIMES: Final = {
    "AccessToken": "AccessTokenMinutes",
    "IdToken": "AccessTokenMinutes",
    "RefreshToken": "RefreshTokenDays",
}
"""The template's parameter of how long a kind of token lives."""
SAME_NAME: Final = {"VerifyAuthChallengeResponse": "VerifyAuthChallenge"}
"""Cognito's name of a trigger, where ours is shorter."""


def identity() -> Any:
    return template("identity.yaml")


def handlers() -> Mapping[str, str]:
    found = identity()["Mappings"]["Triggers"].items()
    return {name: entry["Handler"] for name, entry in found}


def repeated(loop: str) -> tuple[list[str], Mapping[str, Any]]:
    """The names that a loop of the template runs over, and its resources by their names' ends."""
    _, names, made = identity()["Resources"][f"Fn::ForEach::{loop}"]
    return list(names), {key.removeprefix("${Trigger}"): value for key, value in made.items()}


def single() -> Mapping[str, Any]:
    found = identity()["Resources"].items()
    return {name: entry for name, entry in found if not name.startswith("Fn::")}


def test_every_function_has_a_handler_that_exists() -> None:
    names, made = repeated("Functions")
    assert names == list(handlers())
    for handler in handlers().values():
        module, _, function = handler.partition(".")
        assert callable(getattr(import_module(f"service.identity.{module}"), function))
    longest = 2 * (aws.CONNECT_SECONDS + aws.READ_SECONDS)
    timeout = made["Function"]["Properties"]["Timeout"]
    assert longest < timeout < 5
    alarms = [made[name]["Properties"] for name in ("FailureAlarm", "SlowAlarm")]
    assert [alarm["Threshold"] for alarm in alarms] == [1, 1000 * (timeout - 1)]


def test_the_pool_calls_the_functions_by_their_names() -> None:
    """And the pool can call every trigger that has a handler."""
    (pool,) = resources("data.yaml", "AWS::Cognito::UserPool").values()
    condition, called, otherwise = pool["LambdaConfig"]["Fn::If"]
    assert (condition, otherwise) == ("HasTriggers", {"Ref": "AWS::NoValue"})
    named = {
        SAME_NAME.get(trigger.removesuffix("Config"), trigger.removesuffix("Config")): name
        for trigger, entry in called.items()
        for name in re.findall(r"\$\{Triggers\}-(\w+)", str(entry))
    }
    assert all(trigger == name for trigger, name in named.items())
    assert named.keys() == handlers().keys() - {"PoolEvents"}
    assert called["PreTokenGenerationConfig"]["LambdaVersion"] == "V3_0"


def test_every_documented_source_has_its_trigger() -> None:
    families = {name.partition("_")[0] for name in SHAPES}
    own = {"TokenGeneration": "PreTokenGeneration", **SAME_NAME}
    assert {own.get(family, family) for family in families} == handlers().keys() - {"PoolEvents"}


def test_only_the_pool_may_call_the_triggers() -> None:
    names, made = repeated("Permissions")
    assert set(names) == handlers().keys() - {"PoolEvents"}
    permission = made["Permission"]["Properties"]
    assert permission["SourceArn"] == {"Fn::Sub": POOL_ARN}
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    rule = single()["PoolEventsPermission"]["Properties"]["SourceArn"]
    assert rule == {"Fn::GetAtt": ["PoolEventsRule", "Arn"]}


def test_without_triggers_only_an_administrator_creates_users() -> None:
    (pool,) = resources("data.yaml", "AWS::Cognito::UserPool").values()
    alone = pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"]
    assert alone == {"Fn::If": ["HasTriggers", False, True]}


def test_as_many_functions_call_the_directory_at_once_as_its_limits_assume() -> None:
    at_once = repeated("Functions")[1]["Function"]["Properties"]["ReservedConcurrentExecutions"]
    assert at_once["Fn::FindInMap"] == [
        "Triggers",
        {"Ref": "Trigger"},
        {"Fn::If": ["HasDirectory", "AtOnce", "NoLimit"]},
        {"DefaultValue": {"Ref": "AWS::NoValue"}},
    ]
    limits = identity()["Mappings"]["Triggers"]
    assert {name: each["AtOnce"] for name, each in limits.items() if "AtOnce" in each} == {
        "UserMigration": 2
    }
    assert not any("NoLimit" in each for each in limits.values())


def test_the_media_role_may_list_the_bucket_so_that_a_deleted_upload_reads_as_missing() -> None:
    """S3 answers 404 only to a role that may list the bucket, otherwise 403, which ends the job."""
    role = resources("service.yaml", "AWS::IAM::Role")["MediaRole"]
    (policy_of_photos,) = role["Policies"]
    (listing,) = (
        statement
        for statement in policy_of_photos["PolicyDocument"]["Statement"]
        if statement["Action"] == "s3:ListBucket"
    )
    assert "Condition" not in listing


def test_staff_cannot_sign_in_by_a_code_by_mail() -> None:
    clients = resources("data.yaml", "AWS::Cognito::UserPoolClient")
    by_code = {
        name
        for name, client in clients.items()
        if "ALLOW_CUSTOM_AUTH" in str(client["ExplicitAuthFlows"])
    }
    assert by_code == {"RiderClient", "DriverClient"}


def calls_in(handler: str) -> set[str]:
    """IAM actions of the calls in the handler's module: `client("service").operation(…)`."""
    actions = set()
    for node in ast.walk(ast.parse((ROOM / f"{handler.partition('.')[0]}.py").read_text())):
        match node:
            case ast.Attribute(attr=name) if name.startswith(("admin_", "list_", "describe_")):
                actions.add("cognito-idp:" + "".join(part.title() for part in name.split("_")))
            case ast.Attribute(attr="send_email"):
                actions.add("ses:SendEmail")
            case ast.Name(id="DynamoRevocations"):
                actions |= {"dynamodb:PutItem", "dynamodb:UpdateItem"}
    return actions


@pytest.mark.parametrize("name", sorted(handlers()))
def test_a_trigger_may_do_what_its_handler_does_and_no_more(name: str) -> None:
    entry = single().get(f"{name}Rights")
    statements = entry["Properties"]["PolicyDocument"]["Statement"] if entry else []
    granted = {
        action
        for statement in statements
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    module_is_shared = handlers()[name].startswith("challenge") and name != "CreateAuthChallenge"
    assert granted == (set() if module_is_shared else calls_in(handlers()[name]))
    for statement in statements:
        assert "*" not in str(statement["Resource"])
        if any(action.startswith("cognito-idp:") for action in granted):
            assert statement["Resource"] == {"Fn::Sub": POOL_ARN}


def test_each_function_writes_its_own_log_only() -> None:
    _, made = repeated("Functions")
    (log,) = made["Role"]["Properties"]["Policies"]
    (statement,) = log["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == {"Fn::GetAtt": [{"Fn::Sub": "${Trigger}Logs"}, "Arn"]}
    assert made["Function"]["Properties"]["LoggingConfig"]["LogGroup"]
    assert {"FailureAlarm", "SlowAlarm"} <= made.keys()


def clients() -> Mapping[str, Any]:
    found = resources("data.yaml", "AWS::Cognito::UserPoolClient").values()
    return {client["ClientName"]: client for client in found}


def test_each_client_may_ask_for_the_scopes_of_its_users_only() -> None:
    wanted = {
        "rider": grants.scopes_of([grants.RIDERS]),
        "driver": grants.scopes_of([grants.UNICORNS]),
        "console": grants.scopes_of([grants.ADMIN, grants.DISPATCHER]),
        "machine": grants.MACHINE_SCOPES,
    }
    assert {
        name: set(client["AllowedOAuthScopes"]) - {"openid"} for name, client in clients().items()
    } == wanted


def test_each_page_gets_its_own_client() -> None:
    outputs = template("data.yaml")["Outputs"]
    in_order = [f"{name}Client" for name in ("Rider", "Driver", "Console")]
    assert re.findall(r"\w+Client", str(outputs["PageClientIds"])) == in_order
    assert pages.PAGES == ("rider", "drive", "console")


def test_the_pool_has_the_scopes_and_groups_of_the_code() -> None:
    (server,) = resources("data.yaml", "AWS::Cognito::UserPoolResourceServer").values()
    scopes = {f"{server['Identifier']}/{scope['ScopeName']}" for scope in server["Scopes"]}
    assert scopes == policy.SCOPES.keys()
    groups = resources("data.yaml", "AWS::Cognito::UserPoolGroup").values()
    assert {group["GroupName"] for group in groups} == grants.SCOPES_OF.keys()


def test_the_pool_signs_in_checks_and_recovers_its_users_as_decided() -> None:
    (pool,) = resources("data.yaml", "AWS::Cognito::UserPool").values()
    # Cognito takes UsernameAttributes or AliasAttributes, and never lets a pool change them.
    assert (pool["UsernameAttributes"], "AliasAttributes" in pool) == (["email"], False)
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}
    assert pool["AutoVerifiedAttributes"] == ["email"]
    assert pool["Policies"]["PasswordPolicy"] == {
        "MinimumLength": 12,
        "PasswordHistorySize": 3,
        "TemporaryPasswordValidityDays": 3,
    }
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("OPTIONAL", ["SOFTWARE_TOKEN_MFA"])
    recovery = pool["AccountRecoverySetting"]["RecoveryMechanisms"]
    assert recovery == [{"Name": "verified_email", "Priority": 1}]
    (login_pages,) = resources("data.yaml", "AWS::Cognito::UserPoolDomain").values()
    assert login_pages["ManagedLoginVersion"] == 2
    condition, by_ses, otherwise = pool["EmailConfiguration"]["Fn::If"]
    has_sender = {"Fn::Not": [{"Fn::Equals": [{"Ref": "SenderAddress"}, ""]}]}
    assert template("data.yaml")["Conditions"][condition] == has_sender
    assert (by_ses["EmailSendingAccount"], by_ses["From"]) == (
        "DEVELOPER",
        {"Ref": "SenderAddress"},
    )
    assert "identity/${SenderDomain}" in by_ses["SourceArn"]["Fn::Sub"]
    assert otherwise == {"EmailSendingAccount": "COGNITO_DEFAULT"}


@pytest.mark.parametrize("name", ["rider", "driver", "console", "machine"])
def test_a_clients_tokens_live_as_long_as_the_parameters_say(name: str) -> None:
    given = template("data.yaml")["Parameters"]
    bounds = {key: (given[key]["MinValue"], given[key]["MaxValue"]) for key in LIFETIMES.values()}
    assert bounds == {"AccessTokenMinutes": (15, 60), "RefreshTokenDays": (1, 3650)}
    # A machine's sign-in brings an access token only.
    kinds = ["AccessToken"] if name == "machine" else ["AccessToken", "IdToken", "RefreshToken"]
    client = clients()[name]
    assert {kind: client[f"{kind}Validity"] for kind in kinds} == {
        kind: {"Ref": LIFETIMES[kind]} for kind in kinds
    }
    assert client["TokenValidityUnits"] == {
        kind: "days" if kind == "RefreshToken" else "minutes" for kind in kinds
    }


@pytest.mark.parametrize("name", ["rider", "driver", "console"])
def test_a_public_client_is_safe(name: str) -> None:
    client = clients()[name]
    assert client["GenerateSecret"] is False
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["EnableTokenRevocation"] is True
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["RefreshTokenRotation"]["Feature"] == "ENABLED"
    # Cognito refuses the pair (API_RefreshTokenRotationType).
    assert "ALLOW_REFRESH_TOKEN_AUTH" not in str(client["ExplicitAuthFlows"])
    (pool,) = resources("data.yaml", "AWS::Cognito::UserPool").values()
    assert {f"custom:{each['Name']}" for each in pool["Schema"]} == {sign_in.SUSPENDED}
    assert not {sign_in.SUSPENDED, "email_verified"} & set(client["WriteAttributes"])


def test_strangers_get_no_credentials_and_a_rider_reaches_one_key() -> None:
    (pool,) = (e for e in single().values() if e["Type"] == "AWS::Cognito::IdentityPool")
    assert pool["Properties"]["AllowUnauthenticatedIdentities"] is False
    assert pool["Properties"]["AllowClassicFlow"] is False
    roles = single()["IdentityPoolRoles"]["Properties"]
    assert roles["Roles"].keys() == {"authenticated"}
    assert "Policies" not in single()["StrangerRole"]["Properties"]
    assert roles["RoleMappings"]["users"]["AmbiguousRoleResolution"] == "Deny"
    (photo,) = single()["RiderRole"]["Properties"]["Policies"]
    (statement,) = photo["PolicyDocument"]["Statement"]
    own = "${Photos.Arn}/private/${!cognito-identity.amazonaws.com:sub}/photo"
    assert statement["Resource"] == {"Fn::Sub": own}
    assert not {"s3:GetObject", "s3:ListBucket", "s3:*"} & set(statement["Action"])


def test_every_handler_reads_its_event_by_the_strict_reader() -> None:
    for path in ROOM.glob("*.py"):
        if path.stem not in {"events", "__init__"}:
            assert not re.search(r"event\[|event\.get", path.read_text()), path.name
    assert events.VERSION == "1"
