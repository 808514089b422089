"""Queries that go on page after page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from service.stores.dynamodb.calls import patiently

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from service.stores.dynamodb.items import Item


def query(client: DynamoDBClient, first: QueryInputTypeDef, patience: float) -> Iterator[Item]:
    """All items, page after page as they are asked for."""
    asked = first.copy()
    while True:
        answer = patiently(partial(client.query, **asked), patience)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
