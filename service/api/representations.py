"""What clients are shown. Typed dictionaries: the OpenAPI document is derived from them."""

from __future__ import annotations

from datetime import datetime

# Before Python 3.12 pydantic reads only this one's types.
from typing_extensions import TypedDict

from service.core.fleet import UnicornView
from service.core.model import (
    AssignedUnicorn,
    CanceledBy,
    Location,
    Page,
    Position,
    Rating,
    Ride,
    RideStatus,
    UnicornState,
)
from service.core.requests import LiveView


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


def ride_view(ride: Ride) -> RideView:
    """A ride as its rider sees it. A unicorn that was only asked is not yet shown."""
    view = driven_ride_view(ride)
    if ride.matched_at is None:
        view["unicorn"] = view["pickup_eta_seconds"] = view["pickup_distance_metres"] = None
    return {**view, "rider_id": ride.rider_id}


def driven_ride_view(ride: Ride) -> DrivenRideView:
    return {
        "ride_id": ride.ride_id,
        "status": ride.status,
        "version": ride.version,
        "pickup": location_view(ride.pickup),
        "dropoff": location_view(ride.dropoff) if ride.dropoff else None,
        "note": ride.note,
        "unicorn": _assigned_unicorn_view(ride.unicorn) if ride.unicorn else None,
        "pickup_eta_seconds": ride.pickup_eta_seconds,
        "pickup_distance_metres": ride.pickup_distance_metres,
        "requested_at": instant(ride.requested_at),
        "matched_at": _instant_or_none(ride.matched_at),
        "arrived_at": _instant_or_none(ride.arrived_at),
        "started_at": _instant_or_none(ride.started_at),
        "completed_at": _instant_or_none(ride.completed_at),
        "canceled_at": _instant_or_none(ride.canceled_at),
        "canceled_by": ride.canceled_by,
        "cancel_reason": ride.cancel_reason,
        "rating": _rating_view(ride.rating) if ride.rating else None,
    }


def ride_list_view(page: Page[Ride], next_cursor: str | None) -> RideListView:
    return {"rides": [ride_view(ride) for ride in page.items], "next_cursor": next_cursor}


def live_ride_view(live: LiveView) -> LiveRideView:
    return {
        "status": live.status,
        "version": live.version,
        "location": _position_view(live.position) if live.position else None,
        "pickup_eta_seconds": live.pickup_eta_seconds,
        "planned_pickup_eta_seconds": live.planned_pickup_eta_seconds,
    }


def unicorn_representation(view: UnicornView) -> UnicornRepresentation:
    unicorn, position = view.unicorn, view.position
    return {
        "unicorn_id": unicorn.unicorn_id,
        "version": unicorn.version,
        "account_sub": unicorn.account_sub,
        "name": unicorn.name,
        "color": unicorn.color,
        "gender": unicorn.gender,
        "auto_accept": unicorn.auto_accept,
        "state": unicorn.state,
        "accepting": unicorn.accepting,
        "location": location_view(position.location) if position else None,
        "position_at": instant(position.recorded_at) if position else None,
        "ride_id": unicorn.ride_id,
    }


def location_view(location: Location) -> LocationView:
    return {"latitude": location.latitude, "longitude": location.longitude}


def instant(at: datetime) -> str:
    """RFC 3339 in UTC, milliseconds."""
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


def _instant_or_none(at: datetime | None) -> str | None:
    return instant(at) if at else None


def _position_view(position: Position) -> PositionView:
    return {
        **location_view(position.location),
        "heading": position.heading,
        "recorded_at": instant(position.recorded_at),
    }


def _rating_view(rating: Rating) -> RatingView:
    return {"stars": rating.stars, "comment": rating.comment}


def _assigned_unicorn_view(unicorn: AssignedUnicorn) -> AssignedUnicornView:
    return {
        "unicorn_id": unicorn.unicorn_id,
        "name": unicorn.name,
        "color": unicorn.color,
        "gender": unicorn.gender,
        "location": location_view(unicorn.location),
    }
