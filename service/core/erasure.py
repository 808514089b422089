"""Erases a rider's personal data (GDPR, article 17)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from service.core.dead_letters import letters_about
from service.core.ports import DeadLetters, Rides, WriteConflict
from service.model import items_of

PAGE = 100


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result of an erasure. `open_rides` must end first; then erase again."""

    erased: int
    open_rides: tuple[str, ...]


def erase_rider(rides: Rides, letters: DeadLetters, rider_id: str) -> Erasure:
    """Erase a rider from all rides that have ended; status, times and distances stay.

    Also deletes dead letters about the rides, because letters quote their rides. Safe to repeat
    after an interruption. Five remote calls for each ride. Raises `Unavailable`.
    """
    erased, still_open = 0, []
    listing = partial(rides.list_of_rider, rider_id, status=None, limit=PAGE)
    for listed in items_of(lambda start: listing(start=start)):
        ride = rides.get(listed.ride_id)  # the listing may be a moment old
        if ride is None or ride.rider_id != rider_id:
            continue
        if not ride.is_terminal:
            still_open.append(ride.ride_id)
            continue
        try:
            # Letters first: once the ride has no rider, a repeated erasure would not find them.
            letters.forget(letters_about(ride.ride_id))
            rides.save(ride, ride.erased())
            erased += 1
        except WriteConflict:
            still_open.append(ride.ride_id)
    return Erasure(erased, tuple(still_open))
