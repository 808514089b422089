"""Records a drive as a leg when it ends, and compares its real time with the one that was told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from service.core.ports import Hints
from service.matching.correction import Drives, Kind, Leg, drives_between, hour_of_week
from service.matching.quotes import QuoteAccuracy, QuotedEta
from service.matching.travel import TravelTimes, places
from service.model import Location, Ride, RideStatus
from service.model.errors import Unavailable
from service.model.presence import AT_PICKUP_METRES

logger = logging.getLogger(__name__)

ON_THE_WAY: Final = frozenset({RideStatus.MATCHED, RideStatus.ARRIVED})
"""Statuses in which a rider waits for a unicorn, and was told its ETA."""

ENDS_WITHIN_METRES: Final = 500
"""A trip that ends farther from its dropoff was not driven to the end, so it teaches nothing: its
time is too short."""


class Drive(NamedTuple):
    """A drive that a ride has just ended."""

    kind: Kind
    start: Location
    end: Location
    began: datetime
    ended: datetime
    unicorn_id: str

    @property
    def seconds(self) -> float:
        return (self.ended - self.began).total_seconds()

    def leg(self, base: TravelTimes) -> Leg:
        """The drive as a leg to learn from. Calls `base` once."""
        origins, destinations = places([self.start]), places([self.end])
        drives = drives_between(origins, destinations, hour_of_week(self.began.timestamp()))
        estimated, _ = base.estimate(origins, destinations)
        return Leg(
            origin=drives.origins[0],
            destination=drives.destinations[0],
            metres=float(drives.metres[0]),
            bearing=float(drives.bearings[0]),
            estimated=float(estimated[0]),
            started=self.began.timestamp(),
            seconds=self.seconds,
            unicorn_id=self.unicorn_id,
        )


def ended_drive(ride: Ride) -> Drive | None:
    """The drive that ended with the ride's latest step; None if its end is unknown.

    The drive to the pickup ended when the unicorn was first seen there, not at the driver's report.
    """
    if ride.unicorn is None:
        return None
    unicorn_id, at = ride.unicorn.unicorn_id, ride.unicorn.location
    if ride.status is RideStatus.IN_PROGRESS and ride.matched_at and ride.reached_at:
        return Drive(Kind.PICKUP, at, ride.pickup, ride.matched_at, ride.reached_at, unicorn_id)
    began, ended = ride.started_at, ride.completed_at
    is_there = (ride.completed_distance_metres or 0) <= ENDS_WITHIN_METRES
    if ride.status is RideStatus.COMPLETED and ride.dropoff and began and ended and is_there:
        return Drive(Kind.TRIP, ride.pickup, ride.dropoff, began, ended, unicorn_id)
    return None


def record(ports: Hints, before: Ride, after: Ride, now: datetime) -> None:
    """Record the drive that ended with this step, and the time that its rider was told.

    Without Redis the drive is not recorded, and the zone learns less.
    """
    try:
        if drive := ended_drive(after):
            _note(ports, after, drive)
        elif late := _given_up_late(before, after, now):
            ports.legs.add(after.zone, Kind.PICKUP, None, late)
    except Unavailable as error:
        logger.warning("drive not recorded", extra={"cause": str(error)})


def _note(ports: Hints, ride: Ride, drive: Drive) -> None:
    leg = drive.leg(ports.times.base)
    median, latest = ride.pickup_eta_seconds, ride.pickup_eta_latest_seconds
    if drive.kind is Kind.TRIP or median is None or latest is None:
        # The ride has no stored ETA for this drive: estimate it now, for the hour of its start.
        correction = ports.times.rider_correction(ride.zone, drive.kind)
        median = round(leg.estimated * float(correction.factors(Drives.of([leg]))[0]))
        latest = round(median * correction.latest_factor)
    ports.legs.add(ride.zone, drive.kind, leg, QuotedEta(median, latest, drive.seconds))


def _given_up_late(before: Ride, after: Ride, now: datetime) -> QuotedEta | None:
    """The ETA of a pickup that was given up after its latest time; None for any other step.

    Without these ETAs the statistics would look better than the service is.
    """
    ended = after.status in {RideStatus.CANCELED, RideStatus.REQUESTED}
    median, latest = before.pickup_eta_seconds, before.pickup_eta_latest_seconds
    began = before.matched_at
    if not ended or before.status not in ON_THE_WAY or not (median and latest and began):
        return None
    was_there = before.arrived_at if _is_at_pickup(before) else None
    waited = ((was_there or now) - began).total_seconds()
    return QuotedEta(median, latest, None) if waited > latest else None


def _is_at_pickup(ride: Ride) -> bool:
    """Whether the unicorn of an arrived ride is at the pickup, as far as is known."""
    return (ride.arrived_distance_metres or 0) <= AT_PICKUP_METRES


@dataclass(frozen=True, slots=True)
class TravelTimesReport:
    """A zone's correction for a kind of drive, and how accurate the ETAs of its rides were."""

    zone: str
    kind: Kind
    is_learned: bool
    latest_factor: float
    legs: int
    kept: QuoteAccuracy


def travel_times_reports(ports: Hints) -> Sequence[TravelTimesReport]:
    """The reports on all zones with drives, sorted by zone. Raises `Unavailable`."""
    return [
        TravelTimesReport(
            zone,
            kind,
            is_learned=ports.times.corrections.of(zone, kind) is not None,
            latest_factor=ports.times.latest_factor(zone, kind),
            legs=len(ports.legs.recent(zone, kind)),
            kept=QuoteAccuracy.of(ports.legs.quotes(zone, kind)),
        )
        for zone in sorted(ports.legs.zones())
        for kind in Kind
    ]
