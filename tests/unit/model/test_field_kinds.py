"""The kinds of a ride's fields say who loses them, and no field is forgotten."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from operator import attrgetter

import pytest

from service.api.views import DrivenRideView
from service.model import CanceledBy, Location, Pairing, Rating, Ride, RideStep
from tests.support.builders import CENTRAL_PARK, NOW, a_finished_ride, a_ride, a_usable_unicorn

WAIT = timedelta(minutes=3)
REQUESTED = a_ride(dropoff=CENTRAL_PARK, note="by the fountain")


def walk(ride: Ride, unicorn_id: str) -> dict[str, Ride]:
    """The ride after each step that it can take with a unicorn.

    Together the steps set every field that is empty in a requested ride.
    """
    unicorn = a_usable_unicorn(unicorn_id=unicorn_id, auto_accept=False)
    pairing = Pairing(ride.ride_id, unicorn_id, 240, 1540, 400)
    offered = ride.claimed(unicorn, CENTRAL_PARK, pairing, NOW, timedelta(seconds=15))
    matched = replace(offered.accepted(NOW), arrive_refused_at=NOW)
    arrived = matched.arrived(NOW, WAIT, metres=40)
    started = arrived.started(NOW, reached_at=NOW)
    completed = started.completed(NOW, metres=60)
    return {
        "offered": offered,
        "matched": matched,
        "arrived": arrived,
        "started": started,
        "completed": completed,
        "rated": completed.rated(Rating(5, "sparkling")),
        "canceled": matched.canceled(CanceledBy.RIDER, "changed my mind", NOW),
    }


STATES = walk(REQUESTED, "u1")


def differences(before: Ride, after: Ride) -> set[str]:
    names = {field.name for field in fields(Ride)}
    return {name for name in names if getattr(before, name) != getattr(after, name)}


def test_the_walk_sets_every_field_that_can_be_empty() -> None:
    can_be_empty = [field.name for field in fields(Ride) if field.default is None]
    unset = [name for name in can_be_empty if not any(map(attrgetter(name), STATES.values()))]
    assert not unset, "no transition sets these fields, or `walk` (above) does not take it"


@pytest.mark.parametrize("state", ["offered", "matched", "arrived"])
def test_a_ride_that_loses_its_unicorn_keeps_nothing_of_it(state: str) -> None:
    returned = STATES[state].returned(NOW, WAIT, RideStep.REASSIGNED)
    of_the_ride = {"version", "due_at", "deadline_at", "fresh_deadlines", "timeline", "excluded"}
    kept = differences(REQUESTED, returned) - of_the_ride
    assert not kept, "these fields lack the kind OF_UNICORN in their annotation"


@pytest.mark.parametrize("state", STATES)
def test_a_unicorn_that_declined_sees_nothing_that_happened_afterwards(state: str) -> None:
    declined = STATES["offered"].declined_by_unicorn(NOW, WAIT)
    later = walk(declined, "u2")[state]
    seen, expected = later.as_left_by("u1"), DrivenRideView.of(declined)
    assert DrivenRideView.of(seen) == expected, (
        f"of {differences(declined, seen)}, a field lacks the kind OF_UNICORN or OF_END"
    )


def locations(value: object) -> set[Location]:
    """The value's locations, however deep."""
    if isinstance(value, Location):
        return {value}
    names = [field.name for field in fields(value)] if is_dataclass(value) else []
    return set().union(*(locations(getattr(value, name)) for name in names))


def test_no_exact_place_survives_the_erasure() -> None:
    ride = a_finished_ride()
    assert {ride.pickup, ride.dropoff} <= locations(ride)
    assert not locations(ride) & locations(ride.erased())


def test_no_text_survives_the_erasure_unless_it_leads_to_no_person() -> None:
    with_text = {field.name for field in fields(Ride) if re.search(r"\bstr\b", str(field.type))}
    ride = a_finished_ride()
    kept = with_text - differences(ride, ride.erased())
    harmless = {
        *("ride_id", "zone", "timeline"),
        *("excluded", "missed_by", "not_coming", "declined"),
    }
    assert kept == harmless, (
        "a field with a person's text needs the kind TEXT and a value in `a_finished_ride`; "
        "a text that the service makes and that leads to no person belongs in `harmless`"
    )
