"""Routes that tell a rider what to expect before requesting a ride."""

from __future__ import annotations

import re
from typing import Annotated, Final

from flask import Blueprint, Response
from pydantic import BeforeValidator

from service.api.fields import Latitude, Longitude, Point, Query, Strict
from service.api.unicorn_views import EstimateView, NearbyUnicornsView, NearbyUnicornView
from service.auth import policy
from service.core import estimates
from service.http.context import dependencies
from service.http.responses import answer
from service.http.route import Route
from service.model import Location

blueprint: Final = Blueprint("estimates", __name__)

_DEGREES: Final = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


def _degrees(value: object) -> object:
    return float(value) if isinstance(value, str) and _DEGREES.fullmatch(value) else value


class EstimateRequest(Strict):
    """A ride that the rider may request."""

    pickup: Point
    dropoff: Point | None = None


class Place(Query):
    """A point in WGS-84 degrees, as query parameters."""

    latitude: Annotated[Latitude, BeforeValidator(_degrees)]
    longitude: Annotated[Longitude, BeforeValidator(_degrees)]


@Route(blueprint, "POST", "/v1/estimates", policy=policy.RIDES_READ, answers={200: EstimateView})
def estimate_ride(body: EstimateRequest) -> Response:
    """Estimate how long a ride requested now would take; null if that is unknown."""
    deps = dependencies()
    dropoff = body.dropoff.location() if body.dropoff else None
    expected = estimates.estimate(deps.ports, body.pickup.location(), dropoff, deps.now())
    return answer(200, EstimateView.of(expected))


@Route(
    blueprint,
    "GET",
    "/v1/unicorns/nearby",
    policy=policy.RIDES_READ,
    answers={200: NearbyUnicornsView},
)
def show_nearby(query: Place) -> Response:
    """List available unicorns near a place, with approximate positions."""
    deps = dependencies()
    found = estimates.nearby(deps.ports, Location(query.latitude, query.longitude), deps.now())
    views = [NearbyUnicornView.of(unicorn, location=at) for unicorn, at in found]
    return answer(200, NearbyUnicornsView(unicorns=views))
