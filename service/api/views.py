"""What clients are shown of rides and unicorns."""

from __future__ import annotations

from datetime import datetime

from service.api.shapes import (
    AssignedUnicornView,
    DrivenRideView,
    LiveRideView,
    LocationView,
    PositionView,
    RatingView,
    RideListView,
    RideView,
    UnicornRepresentation,
)
from service.core.unicorns import UnicornView
from service.core.watch import LiveView
from service.model import (
    AssignedUnicorn,
    Location,
    Page,
    Position,
    Rating,
    Ride,
)


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
