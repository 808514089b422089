"""The shapes of what clients are shown. The OpenAPI document is derived from them."""

from __future__ import annotations

# Before Python 3.12 pydantic reads only this one's types.
from typing_extensions import TypedDict

from service.core.positions import Refusal
from service.model import CanceledBy, RideStatus, UnicornState


class LocationView(TypedDict):
    latitude: float
    longitude: float


class PositionView(LocationView):
    heading: float | None
    recorded_at: str


class AssignedUnicornView(TypedDict):
    unicorn_id: str
    name: str
    color: str
    gender: str
    location: LocationView


class RatingView(TypedDict):
    stars: int
    comment: str | None


class DrivenRideView(TypedDict):
    """A ride as its unicorn sees it: without who the rider is."""

    ride_id: str
    status: RideStatus
    version: int
    pickup: LocationView
    dropoff: LocationView | None
    note: str | None
    unicorn: AssignedUnicornView | None
    pickup_eta_seconds: int | None
    pickup_distance_metres: int | None
    requested_at: str
    matched_at: str | None
    arrived_at: str | None
    started_at: str | None
    completed_at: str | None
    canceled_at: str | None
    canceled_by: CanceledBy | None
    cancel_reason: str | None
    rating: RatingView | None


class RideView(DrivenRideView):
    rider_id: str


class RideListView(TypedDict):
    rides: list[RideView]
    next_cursor: str | None


class LiveRideView(TypedDict):
    status: RideStatus
    version: int
    location: PositionView | None
    pickup_eta_seconds: int | None
    planned_pickup_eta_seconds: int | None


class UnicornRepresentation(TypedDict):
    unicorn_id: str
    version: int
    account_sub: str | None
    name: str
    color: str
    gender: str
    auto_accept: bool
    state: UnicornState
    accepting: bool
    location: LocationView | None
    position_at: str | None
    ride_id: str | None


class MyUnicornView(TypedDict):
    unicorn: UnicornRepresentation
    ride: DrivenRideView | None


class RefusedPosition(TypedDict):
    unicorn_id: str
    reason: Refusal


class PositionsNoted(TypedDict):
    accepted: int
    rejected: list[RefusedPosition]


class EstimateView(TypedDict):
    pickup_eta_seconds: int | None
    trip_seconds: int | None
    trip_metres: int | None
    available_nearby: int


class NearbyUnicornView(TypedDict):
    name: str
    color: str
    location: LocationView


class NearbyUnicornsView(TypedDict):
    unicorns: list[NearbyUnicornView]
