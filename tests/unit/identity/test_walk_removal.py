"""The walk in a real account deletes all that it made, even if one deletion fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws.test_identity_walk import RealAccount


class Formation:
    """CloudFormation that refuses to delete the stack `second`."""

    def __init__(self, tried: list[str]) -> None:
        self._tried = tried

    def describe_stack_resources(self, *, StackName: str) -> Any:
        table = {"ResourceType": "AWS::DynamoDB::Table", "PhysicalResourceId": f"{StackName}-table"}
        never_made = {"ResourceType": "AWS::S3::Bucket"}
        return {"StackResources": [table, never_made]}

    def delete_stack(self, *, StackName: str) -> None:
        self._tried.append(StackName)
        if StackName == "second":
            raise RuntimeError("refused")

    def get_waiter(self, _name: str) -> Formation:
        return self

    def wait(self, **_: str) -> None:
        """The stack is gone."""


def test_a_deletion_that_fails_does_not_keep_others_from_being_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    def remove(_account: RealAccount, _kind: str, name: str) -> None:
        tried.append(name)
        if name == "second-table":
            raise RuntimeError("still there")

    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setattr(RealAccount, "client", lambda *_: Formation(tried))
    monkeypatch.setattr(RealAccount, "_remove", remove)
    account = RealAccount()
    account._made = ["first", "second"]
    with pytest.raises(RuntimeError):
        account.remove()
    assert tried == [
        "second",
        "second-table",
        "first",
        "first-table",
        f"{account.prefix}-walk-code",
    ]
