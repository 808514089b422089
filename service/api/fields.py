"""What clients may send. Strict: no coercion, no unknown fields, finite numbers within range."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic.json_schema import WithJsonSchema

from service.model import (
    Location,
    Position,
    RideStatus,
    Unicorn,
)

_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_DEGREES: Final = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_SMALLEST_DEGREES: Final = 1e-9


def _no_dust(degrees: float) -> float:
    # A tenth of a millimetre is zero; numbers below 1e-130 do not fit into DynamoDB at all.
    return degrees if abs(degrees) >= _SMALLEST_DEGREES else 0.0


def _instant(value: object) -> datetime:
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError("must be an RFC 3339 instant such as 2026-01-31T08:00:00Z")


def _whole(value: object) -> object:
    # To JSON Schema, as to many a serialiser, 4.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def _degrees(value: object) -> object:
    return float(value) if isinstance(value, str) and _DEGREES.fullmatch(value) else value


Latitude = Annotated[float, Field(ge=-90, le=90), AfterValidator(_no_dust)]
Longitude = Annotated[float, Field(ge=-180, le=180), AfterValidator(_no_dust)]
Instant = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Text = Annotated[str, Field(max_length=280)]
UnicornId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Count = Annotated[int, Field(ge=1, le=100), BeforeValidator(_number)]
AccountSub = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
Mark = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,640}$")]
"""A claim that names a token. The longest that occur are ARNs of roles with long paths."""


class Strict(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Nothing(Strict):
    """No fields: the body may be left out or be an empty object."""


class Point(Strict):
    """A point, WGS-84 degrees."""

    latitude: Latitude
    longitude: Longitude

    def location(self) -> Location:
        return Location(self.latitude, self.longitude)


class RideRequest(Strict):
    """A ride from `pickup`, perhaps to a known `dropoff`."""

    pickup: Point
    dropoff: Point | None = None
    note: Text | None = None


class EstimateRequest(Strict):
    """A ride that may be asked for."""

    pickup: Point
    dropoff: Point | None = None


class Place(BaseModel):
    """A point, WGS-84 degrees, as a query says it."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    latitude: Annotated[Latitude, BeforeValidator(_degrees)]
    longitude: Annotated[Longitude, BeforeValidator(_degrees)]


class Cancelation(Strict):
    """Why a ride is canceled."""

    reason: Text | None = None


class RideRating(Strict):
    """What the rider thought of the ride."""

    stars: Annotated[int, Field(ge=1, le=5), BeforeValidator(_whole)]
    comment: Text | None = None


class PositionReport(Point):
    """Where a unicorn is: heading in degrees from north, speed in metres per second."""

    heading: Annotated[float, Field(ge=0, le=360)] | None = None
    speed: Annotated[float, Field(ge=0, le=1000)] | None = None
    recorded_at: Instant | None = None

    def position(self, now: datetime) -> Position:
        """As a position; recorded now unless the report says when."""
        return Position(self.location(), self.recorded_at or now, self.heading, self.speed)


class NamedPositionReport(PositionReport):
    """Where the unicorn of this id is."""

    unicorn_id: UnicornId


class PositionReports(Strict):
    """Where many unicorns are."""

    positions: Annotated[list[NamedPositionReport], Field(max_length=500)]


class Availability(Strict):
    """On duty or off."""

    available: bool


class NewUnicorn(Strict):
    """A unicorn to enrol; `location` counts as a position now."""

    name: Name
    color: Name
    gender: Name
    unicorn_id: UnicornId | None = None
    account_sub: AccountSub | None = None
    auto_accept: bool = True
    location: Point | None = None

    def unicorn(self, new_id: str) -> Unicorn:
        """As a unicorn, with this id unless one is given."""
        return Unicorn(
            unicorn_id=self.unicorn_id or new_id,
            name=self.name,
            color=self.color,
            gender=self.gender,
            account_sub=self.account_sub,
            auto_accept=self.auto_accept,
        )


MARKS: Final = ("sub", "origin_jti", "jti")


def _named(mark: str) -> JsonDict:
    return {"required": [mark], "properties": {mark: {"type": "string"}}}


class Revocation(Strict):
    """Exactly one name of what is revoked, as tokens carry it."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_named(n) for n in MARKS]})

    sub: Mark | None = None
    origin_jti: Mark | None = None
    jti: Mark | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if len(self.marks()) != 1:
            raise ValueError("must have exactly one of sub, origin_jti and jti")
        return self

    def marks(self) -> dict[str, str]:
        """By kind, what was given."""
        return self.model_dump(exclude_none=True)


class RideListing(BaseModel):
    """Which of the caller's rides, newest first."""

    model_config = ConfigDict(strict=True, frozen=True)

    limit: Count = 20
    cursor: Annotated[str, Field(max_length=1024)] | None = None
    status: Annotated[RideStatus, Field(strict=False)] | None = None
