"""A drill: one table goes back ten minutes, as after a restore, while the other one does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from service.core.reconcile import Reconciled, reconcile
from service.model import ASSIGNED, RideStatus, RideStep, Trip, UnicornState, items_of
from service.settings import Settings
from service.stores.dynamodb.listings import DynamoRoster
from tests.contract.conftest import Stores
from tests.support.builders import NOW, a_matched_pair, a_ride, a_usable_unicorn
from tests.support.service import Service

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EACH = 6
"""Unicorns of each kind."""


def copy_of(client: DynamoDBClient, table: str) -> list[dict[str, object]]:
    return list(client.scan(TableName=table, ConsistentRead=True)["Items"])  # type: ignore[arg-type]


def restore(client: DynamoDBClient, table: str, key: str, items: list[dict[str, object]]) -> None:
    for item in copy_of(client, table):
        client.delete_item(TableName=table, Key={key: item[key]})  # type: ignore[dict-item]
    for item in items:
        client.put_item(TableName=table, Item=item)  # type: ignore[arg-type]


@pytest.fixture
def service(dynamo_stores: Stores) -> Service:
    service = Service()
    service.ports = replace(
        service.ports,
        rides=dynamo_stores.rides,
        unicorns=dynamo_stores.unicorns,
        assignments=dynamo_stores.assignments,
    )
    return service


def begin(stores: Stores) -> None:
    """Some unicorns wait, some are on their way, some have their rider aboard."""
    for number in range(3 * EACH):
        ride, unicorn = a_ride(ride_id=f"r{number}"), a_usable_unicorn(unicorn_id=f"u{number}")
        stores.unicorns.create(unicorn)
        if number >= EACH:
            stores.rides.create(ride)
            matched, reserved = a_matched_pair(ride, unicorn)
            stores.assignments.commit((ride, matched), (unicorn, reserved))
            if number >= 2 * EACH:
                arrived = matched.arrived(NOW, timedelta(minutes=10))
                stores.rides.save(matched, arrived)
                started = arrived.started(NOW), reserved.departed(ride.ride_id, NOW)
                stores.assignments.commit((arrived, started[0]), (reserved, started[1]))


def ten_minutes(stores: Stores) -> None:
    """New rides are taken, some of the old ones start, complete or are canceled."""
    later = NOW + timedelta(minutes=10)
    for number in range(3 * EACH):
        name, other = f"r{number}", number % 2
        ride, unicorn = stores.rides.get(name), stores.unicorns.get(f"u{number}")
        assert unicorn
        if ride is None:
            ride = a_ride(ride_id=name)
            stores.rides.create(ride)
            after, becomes = a_matched_pair(ride, unicorn)
        elif ride.status is RideStatus.IN_PROGRESS:
            after, becomes = ride.completed(later), unicorn.released(name, later)
        elif other:
            after = ride.returned(later, timedelta(minutes=3), RideStep.FELL_SILENT)
            becomes = unicorn.released(name, later)
        else:
            arrived = ride.arrived(later, timedelta(minutes=10))
            stores.rides.save(ride, arrived)
            ride, after = arrived, arrived.started(later)
            becomes = unicorn.departed(name, later)
        stores.assignments.commit((ride, after), (unicorn, becomes))


@pytest.mark.parametrize("restored", ["rides", "unicorns"])
def test_after_a_table_is_restored_ten_minutes_back_every_pair_agrees_again(
    service: Service,
    dynamo_stores: Stores,
    dynamodb: DynamoDBClient,
    tables: Settings,
    restored: str,
) -> None:
    table = tables.rides_table if restored == "rides" else tables.unicorns_table
    key = "ride_id" if restored == "rides" else "unicorn_id"
    begin(dynamo_stores)
    copy = copy_of(dynamodb, table)
    ten_minutes(dynamo_stores)
    restore(dynamodb, table, key, copy)
    roster = DynamoRoster(dynamodb, tables.unicorns_table)

    def run() -> Reconciled:
        fleet = items_of(lambda start, **_: roster.unicorns(limit=5, start=start))
        return reconcile(service.ports, fleet, NOW + timedelta(minutes=11), 1000)

    done = run()
    assert len(done.repairs) >= 2 * EACH
    assert done.complete
    assert run().repairs == []
    check_pairs(dynamo_stores)


def check_pairs(stores: Stores) -> None:
    rides = stores.rides.due(NOW + timedelta(days=1), 1000)
    held = {ride.unicorn_id: ride for ride in rides if ride.status in ASSIGNED}
    assert len(held) == len([ride for ride in rides if ride.status in ASSIGNED])
    for number in range(3 * EACH):
        unicorn = stores.unicorns.get(f"u{number}")
        assert unicorn
        ride = held.get(unicorn.unicorn_id)
        assert unicorn.ride_id == (ride.ride_id if ride else None)
        if ride:
            on_trip = unicorn.state is UnicornState.ON_TRIP
            assert on_trip == (ride.status is RideStatus.IN_PROGRESS)
            assert unicorn.trip == Trip(ride.pickup, ride.dropoff, ride.started_at)
