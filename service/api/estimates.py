"""Routes that tell what a rider may expect before asking for a ride."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from service.api.fields import EstimateRequest, Place
from service.api.shapes import EstimateView, LocationView, NearbyUnicornsView
from service.auth import policy
from service.core import estimates
from service.http.context import dependencies
from service.http.responses import answer
from service.http.route import route
from service.model import FleetEntry, Location

blueprint: Final = Blueprint("estimates", __name__)

DECIMALS: Final = 3
"""Of degrees, some hundred metres: who looks on sees a herd, and can follow no unicorn home."""


@route(
    blueprint,
    "POST",
    "/v1/estimates",
    policy=policy.RIDES_READ,
    body=EstimateRequest,
    answers={200: EstimateView},
)
def estimate_ride(body: EstimateRequest) -> Response:
    """What a ride requested now would take; null where it cannot be told."""
    deps = dependencies()
    dropoff = body.dropoff.location() if body.dropoff else None
    expected = estimates.estimate(
        deps.ports, deps.travel, body.pickup.location(), dropoff, deps.now()
    )
    view: EstimateView = {
        "pickup_eta_seconds": expected.pickup_eta_seconds,
        "trip_seconds": expected.trip_seconds,
        "trip_metres": expected.trip_metres,
        "available_nearby": expected.available_nearby,
    }
    return answer(200, view)


@route(
    blueprint,
    "GET",
    "/v1/unicorns/nearby",
    policy=policy.RIDES_READ,
    query=Place,
    answers={200: NearbyUnicornsView},
)
def show_nearby(query: Place) -> Response:
    """Available unicorns around a place, roughly where they are."""
    deps = dependencies()
    found = estimates.nearby(deps.ports, Location(query.latitude, query.longitude), deps.now())
    view: NearbyUnicornsView = {
        "unicorns": [
            {
                "name": entry.unicorn.name,
                "color": entry.unicorn.color,
                "location": _rough_location(entry),
            }
            for entry in found
        ]
    }
    return answer(200, view)


def _rough_location(entry: FleetEntry) -> LocationView:
    assert entry.position is not None  # noqa: S101 - only fresh positions are near
    at = entry.position.location
    return {"latitude": round(at.latitude, DECIMALS), "longitude": round(at.longitude, DECIMALS)}
