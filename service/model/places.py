"""Places and positions: WGS-84 degrees, metres, seconds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Location:
    """A point in WGS-84 degrees. Raises `ValueError` if it is not a place on earth."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        # In this form NaN is refused too: every comparison with NaN is false.
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ValueError("not a place on earth")

    def blurred(self, decimals: int = 2) -> Location:
        """The place rounded to `decimals` of a degree: two are about 1 km, three about 100 m."""
        return Location(round(self.latitude, decimals), round(self.longitude, decimals))


@dataclass(frozen=True, slots=True)
class Box:
    """An area between two meridians and two parallels in degrees; `west` > `east` crosses 180°."""

    west: float
    south: float
    east: float
    north: float

    def contains(self, at: Location, margin: float = 0.0, margin_of_longitude: float = 0.0) -> bool:
        """Whether the place is inside, or outside by no more than the margins (degrees)."""
        if not self.south - margin <= at.latitude <= self.north + margin:
            return False
        width = self.east - self.west + 360 * (self.east < self.west)
        eastwards = (at.longitude - self.west) % 360
        return eastwards <= width + margin_of_longitude or eastwards >= 360 - margin_of_longitude


WORLD = Box(-180, -90, 180, 90)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a unicorn reported to be. `heading`: degrees from north; `speed`: metres per second."""

    location: Location
    recorded_at: datetime
    heading: float | None = None
    speed: float | None = None
