"""Counts a client's calls by botocore's own events, and asks DynamoDB what each consumed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.observability.instruments import DYNAMODB_ERRORS, DYNAMODB_SECONDS, DYNAMODB_UNITS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def observe(client: DynamoDBClient) -> None:
    """Count this client's calls from now on."""
    events = client.meta.events
    events.register("provide-client-params.dynamodb.*", _ask_for_units)
    events.register("before-call.dynamodb.*", _begin)
    events.register("after-call.dynamodb.*", _count)
    events.register("after-call-error.dynamodb.*", _count_lost)


def _ask_for_units(params: dict[str, Any], model: Any, **_: object) -> None:
    # The parameters of this one call, made by botocore. Calls about a table itself do not take it.
    if "ReturnConsumedCapacity" in model.input_shape.members:
        params["ReturnConsumedCapacity"] = "TOTAL"


def _begin(context: dict[str, Any], **_: object) -> None:
    context["began"] = time.perf_counter()


def _count(model: Any, parsed: Mapping[str, Any], context: Mapping[str, Any], **_: object) -> None:
    operation = model.name
    DYNAMODB_SECONDS.labels(operation).observe(time.perf_counter() - context["began"])
    if "Error" in parsed:
        DYNAMODB_ERRORS.labels(operation, parsed["Error"].get("Code", "unknown")).inc()
    consumed = parsed.get("ConsumedCapacity", ())
    for each in [consumed] if isinstance(consumed, dict) else consumed:
        DYNAMODB_UNITS.labels(operation, each["TableName"]).inc(each["CapacityUnits"])


def _count_lost(
    exception: Exception, context: Mapping[str, Any], event_name: str, **_: object
) -> None:
    operation = event_name.rpartition(".")[2]
    DYNAMODB_SECONDS.labels(operation).observe(time.perf_counter() - context["began"])
    DYNAMODB_ERRORS.labels(operation, type(exception).__name__).inc()
