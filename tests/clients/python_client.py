"""A ride by the client that openapi-python-client made of the OpenAPI document."""

from __future__ import annotations

import json
import os

from wild_rydes_dispatch_client import AuthenticatedClient
from wild_rydes_dispatch_client.api.riders import cancel_ride, list_rides, request_ride, show_ride
from wild_rydes_dispatch_client.models import (
    Cancelation,
    Point,
    RideListView,
    RideRequest,
    RideStatus,
    RideView,
)

PICKUP = Point(latitude=40.7128, longitude=-74.006)


def main() -> None:
    client = AuthenticatedClient(base_url=os.environ["API_URL"], token=os.environ["RIDER_TOKEN"])
    ride = request_ride.sync(client=client, body=RideRequest(pickup=PICKUP))
    assert isinstance(ride, RideView)
    while ride.status in (RideStatus.REQUESTED, RideStatus.OFFERED):
        ride = show_ride.sync(ride.ride_id, client=client, prefer="wait=4")
        assert isinstance(ride, RideView)
    listed = list_rides.sync(client=client, status=RideStatus.MATCHED)
    canceled = cancel_ride.sync(ride.ride_id, client=client, body=Cancelation())
    assert isinstance(listed, RideListView)
    assert isinstance(canceled, RideView)
    assert ride.unicorn is not None, ride.status
    told = {"unicorn": ride.unicorn.name, "listed": len(listed.rides), "status": canceled.status}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
