"""The CloudFormation templates agree with each other, with the code and with cfn-lint."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from service.bootstrap import photos_of
from service.command.tools import CommandSettings
from service.entrypoints import gunicorn
from service.settings import ApiSettings, Settings, read
from service.stores.dynamodb.schema import TABLES, definition
from tests.support.infrastructure import PROJECT
from tests.support.templates import ECS, resources, resources_of, template, with_conditions

STORES = PROJECT / "service" / "stores" / "dynamodb"

RIGHTS: Final[Mapping[str, set[str]]] = {
    "put_item": {"PutItem"},
    "_put": {"PutItem"},
    "get_item": {"GetItem"},
    "_stored": {"GetItem"},
    "update_item": {"UpdateItem"},
    "_updated": {"UpdateItem"},
    "delete_item": {"DeleteItem"},
    "_deleted": {"DeleteItem"},
    "_query": {"Query"},
    "query": {"Query"},
    "scan": {"Scan"},
    "batch_get_item": {"BatchGetItem"},
    "get_batch": {"BatchGetItem"},
    "_items_of": {"BatchGetItem"},
    "batch_execute_statement": {"PartiQLUpdate"},
    "describe_table": {"DescribeTable"},
}
"""IAM actions of calls."""

TRANSACTION_PARTS: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
"""A transaction needs the rights of its parts (AWS, "Using IAM with DynamoDB transactions")."""


def containers_of(stack: str) -> list[Any]:
    tasks = resources(stack, "AWS::ECS::TaskDefinition").values()
    found = with_conditions([task["ContainerDefinitions"] for task in tasks], {"HasGateway"})
    return [part for parts in found for part in parts]


def containers() -> Mapping[str, Any]:
    """The containers of the service by their names."""
    return {part["Name"]: part for part in containers_of("service.yaml")}


def test_cfn_lint_finds_nothing() -> None:
    command = [Path(sys.executable).parent / "cfn-lint", *sorted(ECS.glob("*.yaml"))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


LAST_RELEASE: Final = ("by_rider", "by_day", "due")


def test_each_update_of_a_takeover_adds_or_deletes_one_index() -> None:
    """And a new stack begins with the last one."""
    before = set(LAST_RELEASE)
    for step in template("data.yaml")["Parameters"]["TakeoverStep"]["AllowedValues"]:
        rides = resources_of("data.yaml", TakeoverStep=str(step))["Rides"]["Properties"]
        after = {index["IndexName"] for index in rides["GlobalSecondaryIndexes"]}
        assert len(before ^ after) == 1
        before = after
    assert before == {index.name for index in TABLES[0].indexes}


def test_the_former_indexes_are_those_that_the_code_would_drop() -> None:
    assert set(LAST_RELEASE) - {index.name for index in TABLES[0].indexes} == set(
        TABLES[0].former_indexes
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.setting)
def test_tables_are_those_of_the_code(table: Any) -> None:
    wanted = dict(definition("any", table))
    del wanted["TableName"]
    name = table.setting.removesuffix("_table").capitalize()
    deployed = resources_of("data.yaml")[name]["Properties"]
    assert {key: deployed[key] for key in wanted} == wanted
    expires = deployed.get("TimeToLiveSpecification", {}).get("AttributeName")
    assert expires == table.expires_at


def test_tables_outlive_the_stack_and_can_be_brought_back() -> None:
    for entry in template("data.yaml")["Resources"].values():
        if entry["Type"] == "AWS::DynamoDB::Table":
            assert entry["DeletionPolicy"] == entry["UpdateReplacePolicy"] == "Retain"
            assert entry["Properties"]["DeletionProtectionEnabled"] is True
            recovery = entry["Properties"]["PointInTimeRecoverySpecification"]
            assert recovery == {"PointInTimeRecoveryEnabled": True}


@pytest.mark.parametrize("role", ["web", "worker"])
def test_tasks_may_do_to_the_tables_what_their_code_does_and_no_more(role: str) -> None:
    name = f"{role.capitalize()}Role"
    (policy,) = resources("service.yaml", "AWS::IAM::Role")[name]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    granted = {
        statement["Sid"]: {action.partition(":")[2] for action in statement["Action"]}
        for statement in statements
        if statement["Sid"] != "SignOut"
    }
    assert granted == called_by_table(role)


def test_only_the_web_role_may_sign_people_out_and_only_of_the_pool() -> None:
    roles = resources("service.yaml", "AWS::IAM::Role")
    grants = {
        name: statement
        for name, role in roles.items()
        for policy in role.get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if "cognito-idp:" in str(statement["Action"])
    }
    assert set(grants) == {"WebRole"}
    wanted = [
        "cognito-idp:AdminDeleteUser",
        "cognito-idp:AdminUserGlobalSignOut",
        "cognito-idp:ListUsers",
    ]
    assert grants["WebRole"]["Action"] == wanted
    assert "userpool/${UserPoolId}" in str(grants["WebRole"]["Resource"])


def called_by_table(role: str) -> dict[str, set[str]]:
    """IAM actions by table, read from the stores' code and from where a role builds its stores."""
    tables = tables_of_stores(role)
    stores = {
        store.name: store
        for module in (*STORES.glob("*.py"), *STORES.parent.glob("*.py"))
        for store in ast.walk(ast.parse(module.read_text()))
        if isinstance(store, ast.ClassDef)
    }
    actions: dict[str, set[str]] = defaultdict(set)
    for name in tables.keys() & stores.keys():
        # What all stores inherit is named where it is called.
        bases = {base.id for base in stores[name].bases if isinstance(base, ast.Name)}
        for part in {name, *(bases & stores.keys() - {"TableStore"})}:
            for table in tables[name]:
                actions[table.removesuffix("_table").capitalize()] |= actions_in(stores[part])
    return dict(actions)


def actions_in(tree: ast.AST) -> set[str]:
    actions: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in RIGHTS:
                actions |= RIGHTS[name]
            case ast.Constant(value=str(part)) if part in TRANSACTION_PARTS:
                actions.add(TRANSACTION_PARTS[part])
    return actions


def tables_of_stores(role: str) -> dict[str, set[str]]:
    """Names of the settings by store class: `DynamoRides(client, settings.rides_table)`."""
    tables: dict[str, set[str]] = defaultdict(set)
    for tree in builders_of(role):
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name)) if name.startswith(("Dynamo", "S3")):
                    tables[name] |= {
                        argument.attr
                        for argument in node.args
                        if isinstance(argument, ast.Attribute) and argument.attr.endswith("_table")
                    }
    return tables


def builders_of(role: str) -> Iterator[ast.AST]:
    """The code that builds a role's stores."""
    wiring = ast.parse((PROJECT / "service" / "bootstrap.py").read_text())
    shared = {node.name: node for node in ast.walk(wiring) if isinstance(node, ast.FunctionDef)}
    if role == "web":
        yield wiring
    else:
        yield shared["build_ports"]
        yield from (ast.parse(path.read_text()) for path in (PROJECT / "worker").glob("*.py"))


def settings_given(container: Mapping[str, Any]) -> set[str]:
    """The settings that a container definition passes on."""
    return {pair["Name"].lower() for pair in (*container["Environment"], *container["Secrets"])}


LEFT_OUT: Final[Mapping[str, str]] = {
    "admin_group": "data.yaml creates the group under the default name",
    "api_max_in_flight": "web only",
    "api_max_waiters": "web only",
    "auth_jwks_allow_http_hosts": "keys never travel in the clear on AWS",
    "auth_jwks_file": "the pool's own keys are fetched",
    "auth_resource": "Cognito's access tokens name no resource",
    "aws_endpoint_url_dynamodb": "AWS's own endpoint",
    "aws_endpoint_url_sts": "AWS's own endpoint",
    "celery_broker_url": "one cache is broker and index",
    "cognito_issuers": "derived from the pool's id",
    "cognito_jwks_url": "derived from the pool's id",
    "dispatcher_group": "data.yaml creates the group under the default name",
    "host": "set by the image, and for web by the definition",
    "identity_pool_id": "web only",
    "identity_role_groups": "identity.yaml gives drivers and staff no role",
    "liveness_file": "worker and beat only",
    "monitor_enabled": "worker and beat only: web publishes no events",
    "photos_bucket": "web and media only",
    "port": "set by the image",
    "rider_max_active_rides": "web only",
    "service_revision": "set by the image, which knows what it was built from",
    "unicorn_group": "data.yaml creates the group under the default name",
}
"""Settings that a definition leaves to the default, each with its reason."""


@pytest.mark.parametrize("role", ["web", "worker", "beat"])
def test_a_task_forgets_no_setting(role: str) -> None:
    """A new setting is passed on by the definition, or stands above with a reason."""
    given = settings_given(containers()[role])
    model = ApiSettings if role == "web" else Settings
    left_out = model.model_fields.keys() - given
    assert given <= model.model_fields.keys()
    assert left_out <= LEFT_OUT.keys()
    assert not [name for name in left_out if model.model_fields[name].is_required()]


LEFT_OUT_OF_COMMANDS: Final[Mapping[str, str]] = {
    "log_level": "a command writes its answer, and what it changed, at any level",
    "otel_exporter_otlp_endpoint": "a command leaves no trace",
    "metrics_namespace": "a command counts nothing",
    "metrics_port": "a command counts nothing",
}
"""Settings that the task of commands leaves to the default besides `LEFT_OUT`."""


def test_the_task_of_commands_goes_by_the_rules_of_the_service() -> None:
    (task,) = resources("commands.yaml", "AWS::ECS::TaskDefinition").values()
    (container,) = task["ContainerDefinitions"]
    given = settings_given(container)
    left = LEFT_OUT.keys() | LEFT_OUT_OF_COMMANDS.keys()
    assert given <= CommandSettings.model_fields.keys()
    assert CommandSettings.model_fields.keys() - given - left == set()
    parameters = template("service.yaml")["Parameters"]
    for name, parameter in template("commands.yaml")["Parameters"].items():
        assert name not in parameters or parameter == parameters[name], name


def test_the_media_task_gets_every_setting_that_it_reads() -> None:
    given = settings_given(containers()["media"])
    code = (PROJECT / "worker" / "media.py").read_text() + inspect.getsource(photos_of)
    read_by_it = set(re.findall(r"settings\.(\w+)", code)) & Settings.model_fields.keys()
    assert read_by_it - given == set()
    assert given <= Settings.model_fields.keys()


def test_every_reason_is_needed_and_every_default_is_the_codes_own() -> None:
    assert LEFT_OUT.keys() <= ApiSettings.model_fields.keys()
    parameters = template("service.yaml")["Parameters"]
    for container in containers().values():
        for pair in container["Environment"]:
            name, value = pair["Name"].lower(), pair["Value"]
            field = ApiSettings.model_fields[name]
            if isinstance(value, dict) and "Default" in parameters.get(value["Ref"], {}):
                text = parameters[value["Ref"]]["Default"]
                read_as = read(ApiSettings, REQUIRED | {pair["Name"]: str(text)})
                wanted = OF_THE_STACK.get(name, field.default)
                assert getattr(read_as, name) == wanted, name


OF_THE_STACK: Final[Mapping[str, object]] = {
    "trusted_proxy_hops": 1  # the balancer
}
"""Defaults that are the stack's own, each with its reason."""

REQUIRED: Final = {
    "AWS_REGION": "us-east-1",
    "REDIS_URL": "redis://cache:6379/0",
    "PUBLIC_URL": "https://rides.example.com",
    "COGNITO_USER_POOL_ID": "us-east-1_Example",
    "COGNITO_CLIENT_IDS": "client",
}


def test_scaled_services_declare_no_desired_count() -> None:
    services = resources("service.yaml", "AWS::ECS::Service")
    targets = resources("scaling.yaml", "AWS::ApplicationAutoScaling::ScalableTarget")
    scaled = {name for name in services for each in targets.values() if f"{name}Name" in str(each)}
    assert scaled == {"WebService", "WorkerService"}
    alone = {"BeatService", "MediaService"}
    assert {name for name, each in services.items() if "DesiredCount" in each} == alone


@pytest.mark.parametrize(
    ("stack", "image", "user"), [("service", "", "service"), ("roads", "roads/", "roads")]
)
def test_every_mounted_volume_is_declared_by_the_image_and_belongs_to_its_user(
    stack: str, image: str, user: str
) -> None:
    """An undeclared volume belongs to root on Fargate, and only root can write there."""
    dockerfile = (PROJECT / "docker" / f"{image}Dockerfile").read_text()
    before, _, declared = dockerfile.partition("\nVOLUME ")
    volumes = json.loads(declared.splitlines()[0])
    tasks = resources(f"{stack}.yaml", "AWS::ECS::TaskDefinition").values()
    defined = with_conditions([task["ContainerDefinitions"] for task in tasks], ())
    for container in (each for parts in defined for each in parts):
        for mount in container["MountPoints"]:
            path = mount["ContainerPath"]
            assert path in volumes
            assert re.search(rf"install -d -o {user} -g {user} -m \d+ {path}\b", before)
        environment = {pair["Name"]: pair["Value"] for pair in container["Environment"]}
        file = environment.get("LIVENESS_FILE")
        assert file is None or str(Path(file).parent) in volumes


def test_each_task_is_a_role_of_the_image() -> None:
    roles = re.findall(r"^  (\w+)\) exec", (PROJECT / "docker" / "entrypoint").read_text(), re.M)
    for name, container in containers().items():
        assert container["Command"] == [name]
        assert name in roles


def test_tasks_run_confined() -> None:
    for container in containers().values():
        assert container["ReadonlyRootFilesystem"] is True
        assert container["User"] == "10001:10001"
        assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"


def test_timeouts_follow_from_each_other() -> None:
    (balancer,) = resources("service.yaml", "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    decided = with_conditions(balancer["LoadBalancerAttributes"], ())
    attributes = {pair["Key"]: pair["Value"] for pair in decided}
    (targets,) = resources("service.yaml", "AWS::ElasticLoadBalancingV2::TargetGroup").values()
    drain = {pair["Key"]: pair["Value"] for pair in targets["TargetGroupAttributes"]}
    idle = int(attributes["idle_timeout.timeout_seconds"])
    assert 30 < idle <= gunicorn.keepalive - 10 <= 110
    assert containers()["web"]["StopTimeout"] >= gunicorn.graceful_timeout + 5
    assert int(drain["deregistration_delay.timeout_seconds"]) >= gunicorn.graceful_timeout


@pytest.mark.parametrize("stack", ["service.yaml", "flower.yaml", "roads.yaml"])
def test_a_task_that_does_not_answer_is_replaced_within_a_minute(stack: str) -> None:
    """And not before two failures, because a busy machine is sometimes late."""
    for container in containers_of(stack):
        check = container["HealthCheck"]
        assert 2 <= check["Retries"] <= 5
        assert check["Interval"] * check["Retries"] + check["Timeout"] <= 60
        assert check["Timeout"] < check["Interval"]
        # The routing engine may prepare its roads for longer than any other task starts.
        assert 10 <= check["StartPeriod"] <= (300 if stack == "roads.yaml" else 60)


@pytest.mark.parametrize("stack", ["service.yaml", "gateway.yaml"])
def test_a_balancer_leaves_a_task_that_does_not_answer_within_a_minute(stack: str) -> None:
    (targets,) = resources(stack, "AWS::ElasticLoadBalancingV2::TargetGroup").values()
    interval, timeout = (targets[f"HealthCheck{key}Seconds"] for key in ("Interval", "Timeout"))
    assert 2 <= targets["UnhealthyThresholdCount"] <= 5
    assert interval * targets["UnhealthyThresholdCount"] + timeout <= 60
    assert timeout < interval
    assert targets["HealthyThresholdCount"] * interval <= 30


def test_alarms_and_scaling_follow_within_minutes() -> None:
    alarms = resources("scaling.yaml", "AWS::CloudWatch::Alarm")
    for name, alarm in (alarms | resources("identity.yaml", "AWS::CloudWatch::Alarm")).items():
        period = alarm.get("Period", 60)
        assert 60 <= period * alarm["EvaluationPeriods"] <= 300, name
        assert 1 <= alarm.get("DatapointsToAlarm", 1) <= 2, name
    for policy in resources("scaling.yaml", "AWS::ApplicationAutoScaling::ScalingPolicy").values():
        target = policy.get("TargetTrackingScalingPolicyConfiguration")
        steps = policy.get("StepScalingPolicyConfiguration")
        grows = target["ScaleOutCooldown"] if target else steps["Cooldown"]
        assert 30 <= grows <= 60
        # Slower down than up: a task that was ended too soon is missing for a minute.
        assert target is None or grows < target["ScaleInCooldown"] <= 600
    for scaled in resources("scaling.yaml", "AWS::ApplicationAutoScaling::ScalableTarget").values():
        assert scaled["MinCapacity"] == 2, "one in each of two zones"
