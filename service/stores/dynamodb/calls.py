"""Calls to DynamoDB: tried again while an item is busy, and their failures in the domain's words.

botocore has already retried what is lost on the way, server errors and plain throttling when an
error arrives here. What it leaves to the caller are transactions: a failed condition is a
decision, an item that another transaction holds is free again in milliseconds (AWS,
"TransactWriteItems", CancellationReasons).
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
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from service.core.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from service.stores.dynamodb.items import Item

PATIENCE_SECONDS: Final = 0.5
"""How long a busy item is waited for by default."""
FIRST_PAUSE_SECONDS: Final = 0.01
LONGEST_PAUSE_SECONDS: Final = 0.1

BATCH: Final = 100
"""Items that one BatchGetItem returns at most."""

BUSY: Final = frozenset(
    {
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
"""No table or no right to it: for an operator to mend; for a caller, as if it were away."""
UNREACHABLE: Final = (
    BotocoreConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
)

Answer = TypeVar("Answer")


class ConditionFailed(Exception):
    """Conditions of a write that do not hold: what is stored, by position in the write.

    An item that is not there is stored as an empty one.
    """

    def __init__(self, stored: Mapping[int, Item]) -> None:
        super().__init__(f"the condition failed at {sorted(stored)}")
        self.stored = stored

    def is_own_echo(self, write_id: str) -> bool:
        """Whether it failed only because this very write was done before and its answer lost."""
        return any(item.get("last_write_id") == {"S": write_id} for item in self.stored.values())


class Patience:
    """A small budget of time for waiting on busy items."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._longest = FIRST_PAUSE_SECONDS

    def wait(self) -> None:
        """Pause, at random so that those who collided part; `Unavailable` at the end."""
        pause = random.uniform(0, self._longest)  # noqa: S311 - not a secret
        if time.monotonic() + pause > self._end:
            raise Unavailable("DynamoDB: the item stays busy")
        self._longest = min(2 * self._longest, LONGEST_PAUSE_SECONDS)
        time.sleep(pause)


def patiently(call: Callable[[], Answer], seconds: float) -> Answer:
    """Make the call, again while it is told that an item is busy, for `seconds` at most.

    Raises `ConditionFailed`, `Unavailable`, and as they are errors that are faults of ours.
    """
    patience = Patience(seconds)
    while True:
        try:
            return call()
        except UNREACHABLE as error:
            raise Unavailable(f"DynamoDB: {type(error).__name__}") from error
        except ClientError as error:
            _raise_unless_busy(error)
        patience.wait()


def write(call: Callable[[], object], write_id: str, seconds: float) -> None:
    """Make a conditional write that stores `write_id`; done is done, even if the answer was lost.

    Raises `ConditionFailed`, `Unavailable`.
    """
    try:
        patiently(call, seconds)
    except ConditionFailed as failed:
        if not failed.is_own_echo(write_id):
            raise


def get_batch(
    client: DynamoDBClient, keys: Mapping[str, list[Item]], seconds: float
) -> dict[str, list[Item]]:
    """Items by table, each read consistently; absent ones are left out. Raises `Unavailable`."""
    patience = Patience(seconds)
    found: dict[str, list[Item]] = {table: [] for table in keys}
    wanted: Mapping[str, Any] = {
        table: {"Keys": wanted, "ConsistentRead": True} for table, wanted in keys.items()
    }
    while True:
        asked = wanted
        answer = patiently(lambda: client.batch_get_item(RequestItems=asked), seconds)  # noqa: B023
        for table, items in answer["Responses"].items():
            found[table].extend(items)
        wanted = answer.get("UnprocessedKeys", {})
        if not wanted:
            return found
        patience.wait()


def _raise_unless_busy(error: ClientError) -> None:
    code = error.response["Error"]["Code"]
    response: Mapping[str, Any] = error.response
    if code == "ConditionalCheckFailedException":
        raise ConditionFailed({0: response.get("Item", {})}) from error
    if code == "TransactionCanceledException":
        _raise_unless_busy_transaction(error, response["CancellationReasons"])
    elif error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or code in CLOSED:
        raise Unavailable(f"DynamoDB: {code}") from error
    elif code not in BUSY:
        raise error


def _raise_unless_busy_transaction(error: ClientError, reasons: list[dict[str, Any]]) -> None:
    stored = {
        position: reason.get("Item", {})
        for position, reason in enumerate(reasons)
        if reason["Code"] == "ConditionalCheckFailed"
    }
    if stored:
        raise ConditionFailed(stored) from error
    if not BUSY_REASONS.intersection(reason["Code"] for reason in reasons):
        raise error
