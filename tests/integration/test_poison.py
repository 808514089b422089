"""An unreadable row or a ride that kills its worker costs no other ride anything."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from service.stores.dynamodb.rides import DynamoRides
from service.stores.dynamodb.schema import create_tables
from tests.support.builders import NOW, a_ride
from tests.support.dynamodb import fresh_settings, service_client
from tests.support.infrastructure import MiniStack, RedisServer, wait_until
from tests.support.stack import Stack

DEADLY_PLACE: Final = {"latitude": 13.0, "longitude": 13.0}
"""As in `tests.support.poisoned_worker`, which only a worker can import."""
PATIENT: Final = {"UNICORN_STALE_SECONDS": "600"}
"""The unicorns of the test report their position once."""


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


def test_a_ride_that_kills_its_worker_is_set_aside_and_the_others_are_matched(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    here = {"latitude": 40.7128, "longitude": -74.0060}
    with Stack(
        tmp_path,
        ministack,
        redis_server,
        roles=("web", "beat"),
        worker_app="tests.support.poisoned_worker",
        **PATIENT,
    ) as stack:
        admin, rider = stack.admin_token(), stack.rider_token("rider-1")

        def request(**more: Any) -> str:
            answer = stack.call("POST", "/v1/rides", {"pickup": here, **more}, token=rider)
            assert answer.status == 202
            return str(answer.json["ride_id"])

        def ride(ride_id: str) -> Any:
            return stack.call("GET", f"/v1/admin/rides/{ride_id}", token=admin).json

        def failures() -> int:
            (worker,) = stack.call("GET", "/v1/admin/workers", token=admin).json["workers"]
            return int(worker["failed"])

        for number in range(2):
            new = {"name": "U", "color": "C", "gender": "F", "location": here}
            path = "/v1/admin/unicorns"
            body = new | {"unicorn_id": f"u{number}"}
            assert stack.call("POST", path, body, token=admin).status == 201
            path = f"{path}/u{number}"
            accepting = {"accepting": True}
            answer = stack.call("PATCH", path, accepting, token=admin, **{"If-Match": "*"})
            assert answer.status == 200
        deadly = request(dropoff=DEADLY_PLACE)
        healthy = [request() for _ in range(2)]
        stack.start("worker")
        wait_until(lambda: ride(deadly)["status"] == "unmatched", "the ride's end", 90)
        wait_until(lambda: all(ride(h)["status"] == "matched" for h in healthy), "matches")
        letters = stack.call("GET", "/v1/admin/dead-letters", token=admin).json["dead_letters"]
        assert [(letter["kind"], letter["ride_id"]) for letter in letters] == [("ride", deadly)]
        # Celery calls a job lost ten seconds after its process.
        wait_until(lambda: failures() >= 3, "the worker's account of it")
        replay = f"/v1/admin/dead-letters/{letters[0]['dead_letter_id']}/replay"
        version = ride(deadly)["version"]
        for _ in range(2):
            assert stack.call("POST", replay, token=admin).status == 202
        assert (ride(deadly)["status"], ride(deadly)["version"]) == ("requested", version + 1)
