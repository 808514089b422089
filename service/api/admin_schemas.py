"""What staff may send."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from service.api.fields import (
    AccountSub,
    Count,
    Instant,
    Name,
    Strict,
)
from service.matching.zones import RESOLUTION, is_zone
from service.model import RideStatus


def _left_out() -> Any:
    """What an absent field holds. A default of None would make null a value of the field."""
    return None


class UnicornPatch(Strict):
    """What an admin may change of a unicorn: what is left out stays; `account_sub` may be null."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    name: Name = Field(default_factory=_left_out)
    color: Name = Field(default_factory=_left_out)
    gender: Name = Field(default_factory=_left_out)
    account_sub: AccountSub | None = None
    auto_accept: bool = Field(default_factory=_left_out)
    accepting: bool = Field(default_factory=_left_out)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must change something")
        return self

    def particulars(self) -> dict[str, Any]:
        """What is changed, but for `accepting`."""
        return self.model_dump(exclude_unset=True, exclude={"accepting"})


class DispatchChange(Strict):
    """Pause or resume dispatch in a zone (an H3 cell as rides carry it), or everywhere."""

    paused: bool
    zone: Annotated[str, Field(pattern=r"^[0-9a-f]{15}$")] | None = None

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, zone: str | None) -> str | None:
        if zone is not None and not is_zone(zone):
            raise ValueError(f"must be an H3 cell of resolution {RESOLUTION}")
        return zone


class Listing(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(strict=True, frozen=True)

    limit: Count = 20
    cursor: Annotated[str, Field(max_length=1024)] | None = None


class AllRidesListing(Listing):
    """Rides of all riders, newest first: those of the last day unless `since` says otherwise."""

    status: Annotated[RideStatus, Field(strict=False)] | None = None
    since: Instant | None = None
