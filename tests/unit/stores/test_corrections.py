"""The copy of the learned corrections in a process."""

from __future__ import annotations

from service.matching.correction import Correction, Kind
from service.stores.corrections import READ_EVERY_SECONDS, KnownCorrections


class CountedReads:
    """No zone has learned anything; counts the reads."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def of(self, zone: str, kind: Kind) -> Correction | None:
        self.read.append(zone)
        return None


def test_a_new_zone_is_read_without_those_that_were_just_read() -> None:
    stored, seconds = CountedReads(), [0.0]
    known = KnownCorrections(stored, monotonic=lambda: seconds[0])
    for zone in ("a", "b", "c"):
        known.of(zone, Kind.PICKUP)
        known.refresh()
    assert stored.read == ["a", "b", "c"]
    seconds[0] = READ_EVERY_SECONDS
    known.refresh()
    assert sorted(stored.read[3:]) == ["a", "b", "c"]


def test_new_zones_do_not_delay_the_reading_of_the_others() -> None:
    stored, seconds = CountedReads(), [0.0]
    known = KnownCorrections(stored, monotonic=lambda: seconds[0])
    for number in range(12):
        known.of(f"zone-{number}", Kind.PICKUP)
        known.refresh()
        seconds[0] += READ_EVERY_SECONDS / 10
    assert stored.read.count("zone-0") == 2
