"""A write whose answer is lost is done once, and is known to be done."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from service.model import CanceledBy
from service.model.errors import Unavailable
from service.settings import Settings
from service.stores.dynamodb.assignments import DynamoAssignments
from service.stores.dynamodb.rides import DynamoRides
from tests.support.builders import (
    NOW,
    a_finished_ride,
    a_matched_pair,
    a_ride,
    a_unicorn,
    a_usable_unicorn,
)
from tests.support.dynamodb import LostAnswers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.contract.conftest import Stores


@pytest.fixture
def stores(dynamo_stores: Stores) -> Stores:
    return dynamo_stores


def last_write_id(client: DynamoDBClient, table: str, key: str, value: str) -> object:
    item = client.get_item(TableName=table, Key={key: {"S": value}})["Item"]
    return item["last_write_id"]


def test_a_ride_whose_answer_is_lost_counts_as_created(
    stores: Stores, dynamodb: DynamoDBClient
) -> None:
    with LostAnswers(dynamodb, 1) as lost:
        assert stores.rides.create(a_ride()) is None
    assert lost.left == 0
    assert stores.rides.get("ride-1") == a_ride()


def test_a_ride_that_is_claimed_before_the_loss_is_noticed_counts_as_created(
    stores: Stores, dynamodb: DynamoDBClient
) -> None:
    ride, unicorn = a_ride(), a_usable_unicorn()
    stores.unicorns.create(unicorn)
    matched, reserved = a_matched_pair(ride, unicorn)

    def claim() -> None:
        stores.assignments.commit((ride, matched), (unicorn, reserved))

    with LostAnswers(dynamodb, 1, claim):
        assert stores.rides.create(ride) is None
    assert stores.rides.get("ride-1") == matched


def test_a_unicorn_that_is_changed_before_the_loss_is_noticed_counts_as_enrolled(
    stores: Stores, dynamodb: DynamoDBClient
) -> None:
    unicorn = a_unicorn(account_sub="sub-1")
    on_duty = unicorn.with_availability(True, NOW)
    with LostAnswers(dynamodb, 1, lambda: stores.unicorns.save(unicorn, on_duty)):
        stores.unicorns.create(unicorn)
    assert stores.unicorns.get("u1") == on_duty


def test_a_ride_is_saved_once(stores: Stores, dynamodb: DynamoDBClient) -> None:
    stores.rides.create(a_ride())
    canceled = a_ride().canceled(CanceledBy.RIDER, None, NOW)
    with LostAnswers(dynamodb, 1) as lost:
        stores.rides.save(a_ride(), canceled)
    assert lost.left == 0
    assert stores.rides.get("ride-1") == canceled


def test_a_postponement_whose_answer_is_lost_is_known_to_be_done(
    stores: Stores, dynamodb: DynamoDBClient
) -> None:
    stores.rides.create(a_ride())
    with LostAnswers(dynamodb, 1):
        assert stores.rides.postpone(a_ride(), NOW + timedelta(seconds=6))


def test_a_ride_is_blanked_once(dynamodb: DynamoDBClient, tables: Settings) -> None:
    """If the repeated call found nothing to do, the ride would count as one that is still open."""
    rides = DynamoRides(dynamodb, tables.rides_table)
    rides.create(a_finished_ride())
    rides._updated("ride-1", "SET fresh_deadlines = :it", {":it": {"S": "many"}})
    blank = partial(rides.blank, "ride-1", "rider-1", open_since=NOW)
    with LostAnswers(dynamodb, 1, operation="UpdateItem") as lost:
        assert blank()
    assert lost.left == 0
    assert not blank()


def test_a_claim_is_won_once(stores: Stores, dynamodb: DynamoDBClient, tables: Settings) -> None:
    ride, unicorn = a_ride(), a_usable_unicorn()
    stores.rides.create(ride)
    stores.unicorns.create(unicorn)
    matched, reserved = a_matched_pair(ride, unicorn)
    with LostAnswers(dynamodb, 1) as lost:
        stores.assignments.commit((ride, matched), (unicorn, reserved))
    assert lost.left == 0
    assert stores.assignments.pair("ride-1", "u1") == (matched, reserved)
    marks = [
        last_write_id(dynamodb, tables.rides_table, "ride_id", "ride-1"),
        last_write_id(dynamodb, tables.unicorns_table, "unicorn_id", "u1"),
    ]
    assert marks[0] == marks[1]


def test_a_unicorn_and_its_account_are_created_once(
    stores: Stores, dynamodb: DynamoDBClient
) -> None:
    unicorn = a_unicorn(account_sub="sub-1")
    with LostAnswers(dynamodb, 1):
        stores.unicorns.create(unicorn)
    assert stores.unicorns.get("u1") == unicorn
    assert stores.unicorns.of_account("sub-1") == "u1"


def test_a_unicorn_is_saved_once(stores: Stores, dynamodb: DynamoDBClient) -> None:
    stores.unicorns.create(a_unicorn())
    on_duty = a_unicorn().with_availability(True, NOW)
    with LostAnswers(dynamodb, 1):
        stores.unicorns.save(a_unicorn(), on_duty)
    assert stores.unicorns.get("u1") == on_duty


def test_if_every_answer_is_lost_the_store_is_unavailable_and_nothing_half_done(
    stores: Stores, dynamodb: DynamoDBClient, tables: Settings
) -> None:
    ride, unicorn = a_ride(), a_usable_unicorn()
    stores.rides.create(ride)
    stores.unicorns.create(unicorn)
    matched, reserved = a_matched_pair(ride, unicorn)
    impatient = DynamoAssignments(
        dynamodb, tables.rides_table, tables.unicorns_table, patience_seconds=0.1
    )
    with LostAnswers(dynamodb, 1000), pytest.raises(Unavailable):
        impatient.commit((ride, matched), (unicorn, reserved))
    assert stores.assignments.pair("ride-1", "u1") == (matched, reserved)
