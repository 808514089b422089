"""Views: the answers of the API, field by field, made from the attributes of the things they show.

This module has the base of all views, and the views of rides. The OpenAPI document is
derived from these classes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AliasPath, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.json_schema import WithJsonSchema

from service.model import CanceledBy, Ride, RideStatus


def instant_text(at: datetime) -> str:
    """An instant in RFC 3339 format: UTC, with milliseconds."""
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


Instant = Annotated[
    datetime,
    PlainSerializer(instant_text),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class View(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, source: object = None, **others: object) -> Self:
        """The view of `source`, with its attributes; values in `others` replace them."""
        if not others:
            return cls.model_validate(source)
        names = cls.model_fields.keys() - others.keys()
        return cls.model_validate({name: getattr(source, name) for name in names} | others)


class LocationView(View):
    latitude: float
    longitude: float


class PlacedView(View):
    """Base of views that show the `location` of their source as fields of their own."""

    latitude: float = Field(validation_alias=AliasPath("location", "latitude"))
    longitude: float = Field(validation_alias=AliasPath("location", "longitude"))


class PositionView(PlacedView):
    heading: float | None
    recorded_at: Instant


class AssignedUnicornView(View):
    unicorn_id: str
    name: str
    color: str
    gender: str
    location: LocationView


class RatingView(View):
    stars: int
    comment: str | None


class _AnyonesRideView(View):
    """The fields of a ride that riders, drivers and staff see."""

    ride_id: str
    status: RideStatus
    version: int
    pickup: LocationView
    dropoff: LocationView | None
    note: str | None
    unicorn: AssignedUnicornView | None
    pickup_eta_seconds: int | None
    pickup_eta_latest_seconds: int | None
    pickup_distance_metres: int | None
    requested_at: Instant
    matched_at: Instant | None
    arrived_at: Instant | None
    started_at: Instant | None
    completed_at: Instant | None
    canceled_at: Instant | None
    canceled_by: CanceledBy | None
    cancel_reason: str | None
    rating: RatingView | None


class DrivenRideView(_AnyonesRideView):
    """A ride as its driver sees it: without the rider's id, with the end of an open offer."""

    offer_ends_at: Instant | None


class RideView(_AnyonesRideView):
    """A ride as its rider sees it."""

    rider_id: str


class StaffRideView(RideView):
    """A ride as staff sees it, with the unicorn's distance when it reported arrival and completion.

    `attention`: `not_coming` from when the ride's unicorn stops coming until it comes or loses the
    ride.
    """

    attention: Literal["not_coming"] | None
    arrived_distance_metres: int | None
    completed_distance_metres: int | None


class StaffRideListView(View):
    rides: list[StaffRideView]
    next_cursor: str | None


class RideListView(View):
    rides: list[RideView]
    next_cursor: str | None


class DrivenRideListView(View):
    rides: list[DrivenRideView]
    next_cursor: str | None


class LiveRideView(View):
    """The part of a ride that changes without a new version: the unicorn's position and ETAs."""

    status: RideStatus
    version: int
    location: PositionView | None = Field(validation_alias="position")
    pickup_eta_seconds: int | None
    pickup_eta_latest_seconds: int | None
    planned_pickup_eta_seconds: int | None


def ride_view(ride: Ride) -> RideView:
    """A ride as its rider sees it: without the unicorn of an open offer."""
    return RideView.model_validate(_without_offer(ride))


def staff_ride_view(ride: Ride) -> StaffRideView:
    return StaffRideView.model_validate(_without_offer(ride))


def _without_offer(ride: Ride) -> Ride:
    return ride if ride.matched_at else ride.without_unicorn()
