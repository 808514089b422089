"""A row that makes no sense costs nobody else the sweep."""

from __future__ import annotations

from datetime import timedelta

from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.tables import create_tables
from tests.builders import NOW, a_ride
from tests.dynamodb import fresh_settings, service_client
from tests.infrastructure import MiniStack


def test_an_unreadable_row_does_not_hide_the_others_that_are_due(ministack: MiniStack) -> None:
    settings = fresh_settings()
    with service_client(ministack) as client:
        create_tables(client, settings)
        rides = DynamoRides(client, settings.rides_table)
        for number in range(3):
            rides.create(a_ride(ride_id=f"ride-{number}"))
        client.update_item(
            TableName=settings.rides_table,
            Key={"ride_id": {"S": "ride-1"}},
            UpdateExpression="SET #status = :unknown",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":unknown": {"S": "paused"}},
        )
        due = rides.due(NOW + timedelta(minutes=1), 10)
    assert {ride.ride_id for ride in due} == {"ride-0", "ride-2"}
