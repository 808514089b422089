"""Accounts are remembered for a while, and forgotten when they may have moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from service.stores.dynamodb.unicorns import ACCOUNT_REMEMBERED_SECONDS, DynamoUnicorns
from tests.support.builders import a_unicorn

DRIVES = {"Item": {"unicorn_id": {"S": "account#driver"}, "drives": {"S": "u1"}}}


class Desk:
    """A store whose DynamoDB gives the answers put here, and whose clock moves by hand."""

    def __init__(self, stub: Stubber, client: Any) -> None:
        self.seconds = 0.0
        self._stub = stub
        self.unicorns = DynamoUnicorns(client, "Unicorns", monotonic=lambda: self.seconds)

    def answer(self, method: str, *answers: Mapping[str, Any]) -> None:
        for each in answers:
            self._stub.add_response(method, each)

    def was_asked_for_all(self) -> bool:
        self._stub.assert_no_pending_responses()
        return True


@pytest.fixture
def desk() -> Iterator[Desk]:
    client = boto3.client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stub:
        yield Desk(stub, client)


def test_an_account_is_read_once_in_a_while(desk: Desk) -> None:
    desk.answer("get_item", DRIVES)
    assert [desk.unicorns.of_account("driver") for _ in range(5)] == ["u1"] * 5
    assert desk.was_asked_for_all()
    desk.seconds = ACCOUNT_REMEMBERED_SECONDS
    desk.answer("get_item", {})
    assert desk.unicorns.of_account("driver") is None


def test_an_account_without_a_unicorn_is_read_again(desk: Desk) -> None:
    desk.answer("get_item", {}, DRIVES)
    assert [desk.unicorns.of_account("driver") for _ in range(2)] == [None, "u1"]


def test_an_account_that_moves_is_forgotten(desk: Desk) -> None:
    unicorn = a_unicorn(account_sub="driver")
    desk.answer("get_item", DRIVES)
    desk.unicorns.of_account("driver")
    desk.answer("transact_write_items", {})
    desk.unicorns.save(unicorn, replace(unicorn, version=2, account_sub=None))
    desk.answer("get_item", {})
    assert desk.unicorns.of_account("driver") is None
    assert desk.was_asked_for_all()
