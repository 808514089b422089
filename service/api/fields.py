"""Field types and base classes of request bodies; the models are beside their routes.

Bodies are read strictly: no coercion, no unknown fields, numbers within range. (`service.strict`,
which reads the JSON, refuses numbers that are not finite.)
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import WithJsonSchema

from service.http.route import ID_PATTERN
from service.model import Location
from service.model.characters import has_control_or_direction_characters, is_blank

_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_SMALLEST_DEGREES: Final = 1e-9


def _no_dust(degrees: float) -> float:
    # Less than 0.1 mm is zero: DynamoDB cannot store numbers below 1e-130.
    return degrees if abs(degrees) >= _SMALLEST_DEGREES else 0.0


def _instant(value: object) -> datetime:
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise ValueError("must be an RFC 3339 instant such as 2026-01-31T08:00:00Z")


def whole_number(value: object) -> object:
    # In JSON Schema, and for many serialisers, 4.0 is an integer.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def _is_readable(name: str) -> str:
    if has_control_or_direction_characters(name):
        raise ValueError("must not contain control or direction characters")
    if is_blank(name):
        raise ValueError("must not be blank")
    return name


def _none_if_unknown(value: object) -> object:
    return None if isinstance(value, int | float) and value == -1 else value


Latitude = Annotated[float, Field(ge=-90, le=90), AfterValidator(_no_dust)]
Longitude = Annotated[float, Field(ge=-180, le=180), AfterValidator(_no_dust)]
_Degrees = Annotated[float, Field(ge=0, le=360)]
_MetresPerSecond = Annotated[float, Field(ge=0, le=1000)]
_UNKNOWN = Literal[-1]
"""Phones send it for an unknown heading or speed (Apple, CLLocation)."""

Heading = Annotated[
    _Degrees | None,
    BeforeValidator(_none_if_unknown, json_schema_input_type=_Degrees | _UNKNOWN | None),
]
Speed = Annotated[
    _MetresPerSecond | None,
    BeforeValidator(_none_if_unknown, json_schema_input_type=_MetresPerSecond | _UNKNOWN | None),
]
Instant = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_is_readable)]
ShortText = Annotated[str, Field(max_length=280)]
UnicornId = Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]
Count = Annotated[int, Field(ge=1, le=100), BeforeValidator(_number)]
AccountSub = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]


def left_out() -> Any:
    """None, for a field that is absent from the body.

    Such a field has no `| None` in its type, so null in the body is refused.
    """
    return None


class Strict(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(Strict):
    """An empty object; the body may be left out."""


class Point(Strict):
    """A point in WGS-84 degrees."""

    latitude: Latitude
    longitude: Longitude

    def location(self) -> Location:
        return Location(self.latitude, self.longitude)


class Query(BaseModel):
    """Base of all query strings."""

    model_config = ConfigDict(strict=True)


class PageQuery(Query):
    """The part of a list to return."""

    limit: Count = 20
    cursor: Annotated[str, Field(max_length=1024)] | None = None
