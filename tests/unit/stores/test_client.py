"""The DynamoDB client as every process makes it."""

from __future__ import annotations

import pytest

from service.stores.dynamodb.calls import PATIENCE_SECONDS
from service.stores.dynamodb.client import dynamodb_client
from tests.support.dynamodb import fresh_settings


def test_region_and_endpoint_come_from_the_environment_by_boto3s_own_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = fresh_settings()
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB", raising=False)
    at_aws = dynamodb_client(settings)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
    local = dynamodb_client(settings)
    assert at_aws.meta.endpoint_url == f"https://dynamodb.{settings.aws_region}.amazonaws.com"
    assert local.meta.endpoint_url == "http://127.0.0.1:1"


def test_no_call_waits_long() -> None:
    config = vars(dynamodb_client(fresh_settings()).meta.config)
    assert (config["connect_timeout"], config["read_timeout"]) == (1, 2)
    assert PATIENCE_SECONDS + config["connect_timeout"] + config["read_timeout"] <= 5.5
    assert config["retries"] == {"mode": "standard", "total_max_attempts": 1}
