"""The DynamoDB client as every process makes it."""

from __future__ import annotations

from typing import Any, NoReturn

import boto3
import pytest
from botocore.validate import ParamValidationDecorator

from service.stores.dynamodb.calls import PATIENCE_SECONDS
from service.stores.dynamodb.client import dynamodb_client
from service.stores.dynamodb.descriptions import Descriptions, descriptions
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
    client: Any = dynamodb_client(fresh_settings())
    config = vars(client.meta.config)
    assert (config["connect_timeout"], config["read_timeout"]) == (1, 2)
    assert PATIENCE_SECONDS + config["connect_timeout"] + config["read_timeout"] <= 5.5
    assert config["tcp_keepalive"]
    assert not isinstance(client._serializer, ParamValidationDecorator)
    assert config["retries"] == {"mode": "standard", "total_max_attempts": 1}


REGIONS = (
    "us-east-1",
    "eu-central-2",
    "cn-north-1",
    "us-gov-west-1",
    "mx-central-1",
    "us-iso-east-1",
)


@pytest.mark.parametrize("variant", ["", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
@pytest.mark.parametrize("region", REGIONS)
def test_requests_go_where_botocore_alone_would_send_them(
    monkeypatch: pytest.MonkeyPatch, region: str, variant: str
) -> None:
    for name in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if variant:
        monkeypatch.setenv(variant, "true")
    settings = fresh_settings().model_copy(update={"aws_region": region})
    ours = dynamodb_client(settings)
    theirs = boto3.client("dynamodb", region_name=region)
    assert destination(ours) == destination(theirs)


def destination(client: Any) -> tuple[str, str]:
    """Where a request would go, and what its signature is for."""
    sent: list[tuple[str, str]] = []

    def note(request: Any, **_: object) -> NoReturn:
        credential = str(request.headers["Authorization"]).partition("/")[2].partition(",")[0]
        sent.append((request.url, credential.partition("/")[2]))
        raise ConnectionError

    client.meta.events.register("before-send.dynamodb", note)
    with pytest.raises(ConnectionError):
        client.get_item(TableName="Rides", Key={"ride_id": {"S": "r1"}})
    client.close()
    return sent[0]


def test_forked_processes_share_descriptions_that_are_already_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = descriptions()
    assert descriptions() is found

    def read(*_: object) -> NoReturn:
        raise AssertionError("read again")

    monkeypatch.setattr(Descriptions, "load_data_with_path", read)
    for kind in ("service-2", "endpoint-rule-set-1", "paginators-1"):
        assert found.load_service_model("dynamodb", kind)
