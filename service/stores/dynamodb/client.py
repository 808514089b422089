"""The DynamoDB client of a process. Create it after any fork; it is thread-safe, sessions are not.

Credentials (`service.stores.credentials`) are found by boto3's rules, and so is the endpoint if the
settings name none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import IncompleteReadError

from service.observability.instruments import DYNAMODB_ERRORS, DYNAMODB_SECONDS, DYNAMODB_UNITS
from service.settings import Settings
from service.stores.credentials import session_with_kept_credentials
from service.stores.dynamodb.connections import CONNECT_SECONDS, MOST_KEPT, READ_SECONDS
from service.stores.dynamodb.descriptions import descriptions
from service.stores.dynamodb.direct import send_directly

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from mypy_boto3_dynamodb import DynamoDBClient

_CONFIG = Config(
    # The limits hold where botocore itself sends (`direct`).
    max_pool_connections=MOST_KEPT,
    # DynamoDB answers within milliseconds, so fail fast and retry instead of blocking a thread.
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    # So that the kernel, and not a request, finds out that a connection is dead.
    tcp_keepalive=True,
    # Only tested modules build items, so botocore's check is not worth 8 % of a call's CPU.
    parameter_validation=False,
    # `calls` makes all retries; botocore would add pauses of seconds outside any budget.
    retries={"mode": "standard", "total_max_attempts": 1},
    # Given as a whole, because botocore would build it for every call, which costs 13 % of its CPU.
    user_agent=f"Boto3/{boto3.__version__} Botocore/{botocore.__version__} wild-rydes-dispatch",
)


def dynamodb_client(settings: Settings) -> DynamoDBClient:
    """A new client with its own connections. A call may also raise `IncompleteReadError`."""
    kept = session_with_kept_credentials()
    kept.register_component("data_loader", descriptions())
    session = boto3.Session(botocore_session=kept)
    client = session.client(
        "dynamodb",
        region_name=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url_dynamodb or None,
        config=_CONFIG,
    )
    client.meta.events.register("after-call.dynamodb", _require_the_whole_answer)
    if settings.metrics_port:
        count_calls(client)
    send_directly(client, kept)
    return client


def _require_the_whole_answer(http_response: AWSResponse, **_: object) -> None:
    """Refuse an answer that ended early, which botocore would take for an empty success."""
    expected = int(http_response.headers.get("Content-Length", len(http_response.content)))
    if len(http_response.content) != expected:
        raise IncompleteReadError(actual_bytes=len(http_response.content), expected_bytes=expected)


def count_calls(client: DynamoDBClient) -> None:
    """Count this client's calls and their capacity units, by botocore's events."""
    events = client.meta.events
    events.register("provide-client-params.dynamodb.*", _ask_for_units)
    events.register("before-call.dynamodb.*", _begin)
    events.register("after-call.dynamodb.*", _count)
    events.register("after-call-error.dynamodb.*", _count_lost)


def _ask_for_units(params: dict[str, Any], model: Any, **_: object) -> None:
    # Adds the parameter to this one call. Calls about a table itself do not accept this parameter.
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
