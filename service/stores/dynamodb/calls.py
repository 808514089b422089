"""Makes calls to DynamoDB, with retries, and turns their failures into errors of the domain.

This module makes all retries and botocore none, so that one time budget bounds a call. It retries
after busy items (throttling, another transaction), server errors and requests lost on the way. If
the answer to a write was lost, a repeated call finds the id of the write in the item and counts as
success (AWS, "TransactWriteItems", CancellationReasons and Idempotency; "Exponential Backoff And
Jitter").
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from service.model.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.stores.dynamodb.items import Item

PATIENCE_SECONDS: Final = 2.5
"""How long a call is retried by default. With the client's limits on the last attempt a call ends
within 5.5 s; the first failed call ends its use case."""
FIRST_PAUSE_SECONDS: Final = 0.01
LONGEST_PAUSE_SECONDS: Final = 0.5

BATCH: Final = 100
"""The most items that one BatchGetItem call returns (AWS, "BatchGetItem")."""

BUSY: Final = frozenset(
    {
        # The host's clock is wrong; the next attempt is signed by DynamoDB's (`direct`).
        "InvalidSignatureException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
BUSY_REASONS: Final = frozenset(
    {"ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"}
)
CLOSED: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
    }
)
"""No table, or no valid credentials or permission for it. An operator must fix that; for a caller
it is an outage."""
LOST_ON_THE_WAY: Final = (BotocoreConnectionError, HTTPClientError, IncompleteReadError)
"""The request may have been carried out or not; a retried write recognises its own id."""

Answer = TypeVar("Answer")


class ConditionFailed(Exception):
    """A condition of a write does not hold. Has the stored items by position in the write.

    A missing item is an empty one.
    """

    def __init__(self, stored: Mapping[int, Item]) -> None:
        super().__init__(f"the condition failed at {sorted(stored)}")
        self.stored = stored

    def is_own_echo(self, write_id: str) -> bool:
        """Whether the condition failed because this write was already done and its answer lost."""
        return any(item.get("last_write_id") == {"S": write_id} for item in self.stored.values())


class KeysUnprocessed(Exception):
    """DynamoDB left keys of a batch for later."""


class Patience:
    """A time budget for retries."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._longest = FIRST_PAUSE_SECONDS

    def make(self, call: Callable[[], Answer]) -> Answer:
        """Make the call, and retry it while that may help.

        Raises `ConditionFailed` and `Unavailable`.
        """
        while True:
            try:
                return call()
            except (CredentialRetrievalError, NoCredentialsError) as error:
                raise Unavailable(f"DynamoDB: {_name(error)}") from error
            except LOST_ON_THE_WAY as error:
                trouble: Exception = error
            except ClientError as error:
                _raise_if_final(error)
                trouble = error
            self.wait(trouble)

    def wait(self, trouble: Exception, longest: float | None = None) -> None:
        """Pause for a random time, so that colliding calls separate.

        `longest`: the most seconds; by default more each time. Raises `Unavailable` because of
        `trouble` if the budget is used up.
        """
        pause = random.uniform(0, longest or self._longest)  # noqa: S311 - not a secret
        if time.monotonic() + pause > self._end:
            raise Unavailable(f"DynamoDB: {_name(trouble)}") from trouble
        self._longest = min(2 * self._longest, LONGEST_PAUSE_SECONDS)
        time.sleep(pause)


def patiently(call: Callable[[], Answer], seconds: float) -> Answer:
    """Make the call, and retry it for at most `seconds` while that may help.

    Raises `ConditionFailed` and `Unavailable`. Errors that are defects of ours pass unchanged.
    """
    return Patience(seconds).make(call)


def write(call: Callable[[], object], write_id: str, seconds: float) -> None:
    """Make a conditional write that stores `write_id`, by which a retry recognises it.

    Raises `ConditionFailed`, `Unavailable`.
    """
    try:
        patiently(call, seconds)
    except ConditionFailed as failed:
        if not failed.is_own_echo(write_id):
            raise


def get_batch(
    client: DynamoDBClient, keys: Mapping[str, list[Item]], seconds: float, consistent: bool = True
) -> dict[str, list[Item]]:
    """Items by table, at most `BATCH`; absent ones are left out. Raises `Unavailable`."""
    patience = Patience(seconds)
    found: dict[str, list[Item]] = {table: [] for table in keys}
    wanted: Mapping[str, Any] = {
        table: {"Keys": wanted, "ConsistentRead": consistent} for table, wanted in keys.items()
    }
    while True:
        query = wanted
        answer = patience.make(lambda: client.batch_get_item(RequestItems=query))  # noqa: B023
        for table, items in answer["Responses"].items():
            found[table].extend(items)
        wanted = answer.get("UnprocessedKeys", {})
        if not wanted:
            return found
        patience.wait(KeysUnprocessed())


def _name(trouble: Exception) -> str:
    """The name of the error, without its message, which may name addresses and items."""
    if isinstance(trouble, ClientError):
        return trouble.response["Error"]["Code"]
    return type(trouble).__name__


def _raise_if_final(error: ClientError) -> None:
    code = error.response["Error"]["Code"]
    response: Mapping[str, Any] = error.response
    if code == "ConditionalCheckFailedException":
        raise ConditionFailed({0: response.get("Item", {})}) from error
    if code == "TransactionCanceledException":
        _raise_if_final_transaction(error, response["CancellationReasons"])
    elif code in CLOSED:
        raise Unavailable(f"DynamoDB: {code}") from error
    elif code not in BUSY and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
        raise error


def _raise_if_final_transaction(error: ClientError, reasons: list[dict[str, Any]]) -> None:
    stored = {
        position: reason.get("Item", {})
        for position, reason in enumerate(reasons)
        if reason["Code"] == "ConditionalCheckFailed"
    }
    if stored:
        raise ConditionFailed(stored) from error
    if not BUSY_REASONS.intersection(reason["Code"] for reason in reasons):
        raise error
