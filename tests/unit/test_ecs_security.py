"""Security of the templates beyond what `make review` checks."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

import pytest

from tests.review.__main__ import Finding, answers, outdated, unanswered
from tests.support.infrastructure import PROJECT
from tests.support.templates import STACKS, resources, written_out
from tests.unit.test_ecs_templates import called_by_table

USER_POOL: Final = PROJECT / "service" / "stores" / "cognito.py"
BY_SERVICE_ONLY: Final = {"delete", "end_session"}
"""What only the API does at the user pool, not the commands."""

WITHOUT_A_RESOURCE: Final[Mapping[str, str]] = {
    "kms:*": "the policy of a key speaks of that key",
    "kms:CreateGrant": "the same",
    "kms:Decrypt": "the same",
    "kms:Decrypt*": "the same",
    "kms:DescribeKey": "the same",
    "kms:Encrypt": "the same",
    "kms:Encrypt*": "the same",
    "kms:GenerateDataKey*": "the same",
    "kms:ReEncrypt*": "the same",
    "logs:DescribeLogGroups": "AWS knows no narrower resource for it",
    "ssmmessages:*": "the same",
    "xray:*": "the same",
}
"""Actions that may be granted on everything, each with its reason."""


def statements(part: Any) -> Iterator[Any]:
    """Every statement of every policy in a template."""
    if isinstance(part, Mapping):
        if "Effect" in part:
            yield part
        for value in part.values():
            yield from statements(value)
    elif isinstance(part, list):
        for each in part:
            yield from statements(each)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", STACKS)
def test_no_right_is_for_every_resource_without_a_reason(name: str) -> None:
    for statement in statements(written_out(name)):
        if statement["Effect"] == "Allow" and "*" in listed(statement.get("Resource")):
            for action in listed(statement["Action"]):
                known = (fnmatchcase(action, pattern) for pattern in WITHOUT_A_RESOURCE)
                assert any(known), f"{action} on everything"


@pytest.mark.parametrize("name", STACKS)
def test_logs_have_a_retention_and_take_a_key(name: str) -> None:
    for group in resources(name, "AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"]
        assert group["KmsKeyId"] == {
            "Fn::If": ["HasKey", {"Ref": "KeyArn"}, {"Ref": "AWS::NoValue"}]
        }


def test_resources_that_hold_data_take_the_key() -> None:
    kinds = {
        "data.yaml": {"AWS::DynamoDB::Table"},
        "service.yaml": {"AWS::ElastiCache::ReplicationGroup", "AWS::SecretsManager::Secret"},
    }
    for name, wanted in kinds.items():
        for kind in wanted:
            found = resources(name, kind)
            assert found
            for key, properties in found.items():
                assert "KeyArn" in str(properties), key


def test_buckets_are_private_encrypted_and_reached_by_tls_only() -> None:
    for name in STACKS:
        buckets = resources(name, "AWS::S3::Bucket")
        policies = resources(name, "AWS::S3::BucketPolicy").values()
        for key, bucket in buckets.items():
            assert all(bucket["PublicAccessBlockConfiguration"].values())
            assert bucket["BucketEncryption"]
            (policy,) = [each for each in policies if each["Bucket"] == {"Ref": key}]
            denied = policy["PolicyDocument"]["Statement"][0]
            assert (denied["Effect"], denied["Condition"]) == (
                "Deny",
                {"Bool": {"aws:SecureTransport": "false"}},
            )


def test_nobody_can_open_a_shell_in_a_task_and_commands_in_others_are_logged() -> None:
    for name in STACKS:
        for service in resources(name, "AWS::ECS::Service").values():
            assert not service.get("EnableExecuteCommand", False)
    (cluster,) = resources("service.yaml", "AWS::ECS::Cluster").values()
    audit = cluster["Configuration"]["ExecuteCommandConfiguration"]
    assert audit["Logging"] == "OVERRIDE"
    assert audit["LogConfiguration"]["CloudWatchLogGroupName"] == {"Ref": "ExecLogs"}


def command_rights() -> Mapping[str, set[str]]:
    role = resources("commands.yaml", "AWS::IAM::Role")["CommandRole"]
    return {
        statement["Sid"]: {action.partition(":")[2] for action in listed(statement["Action"])}
        for statement in statements(role["Policies"])
        if "Sid" in statement
    }


@pytest.mark.parametrize("table", ["Rides", "Unicorns", "Operations"])
def test_commands_may_do_to_a_table_what_the_service_does_and_look_at_it(table: str) -> None:
    by_service = called_by_table("web")[table] | called_by_table("worker")[table]
    assert command_rights()[table] == by_service | {"DescribeTable", "DescribeTimeToLive"}


def test_commands_may_do_at_the_user_pool_what_their_code_does() -> None:
    called = set()
    for method in ast.walk(ast.parse(USER_POOL.read_text())):
        if isinstance(method, ast.FunctionDef) and method.name not in BY_SERVICE_ONLY:
            for node in ast.walk(method):
                match node:
                    case ast.Constant(value=str(name)) | ast.Attribute(attr=name) if (
                        name.startswith(("admin_", "list_users"))
                    ):
                        called.add("".join(word.capitalize() for word in name.split("_")))
    assert called == command_rights()["Accounts"]


def test_the_answers_of_the_review_name_existing_resources() -> None:
    given = answers()
    assert len(given) > 10
    stems = {name.partition(".")[0]: name for name in STACKS}
    for answer in given:
        if answer.file in stems:
            for pattern in answer.resource.split(", "):
                names = written_out(stems[answer.file])["Resources"]
                assert any(fnmatchcase(name, pattern) for name in names), answer
        else:
            assert (PROJECT / answer.file).exists() or answer.file == "Dockerfile", answer


def test_a_finding_needs_its_own_answer_and_an_answer_its_finding() -> None:
    here = Finding("CKV_1", "service", "WebLogs")
    assert unanswered([here], [Finding("CKV_1", "service", "Beat*, *Logs")]) == []
    for other in (
        Finding("CKV_2", "service", "*"),
        Finding("CKV_1", "data", "*"),
        Finding("CKV_1", "service", "Web"),
    ):
        assert unanswered([here], [other]) == [here]
        assert outdated([here], [other]) == [other]
