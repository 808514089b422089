"""Judges a run by the tables at its end and by everything that its clients saw.

Each rule yields its violations, and a run is good if there are none. Riders and unicorns see
consistent reads, so each answer is about an instant between the call and the answer. All instants
in the tables come from the clock of one machine. A claim is decided after the unicorn's earlier
release was committed, so the rides of a unicorn never overlap in a good run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from service.core.rides import ride_id_of
from service.model import ASSIGNED, RideStatus
from tests.load.chaos import versions
from tests.load.chaos.evidence import Evidence
from tests.load.chaos.schedule import Habit

Rule = Callable[[Evidence], Iterator[str]]

NEVER: Final = datetime.max.replace(tzinfo=UTC)
VERSIONS_BEFORE_RIDES: Final = 2
"""The version of a unicorn that is enrolled, has gone on duty and has had no ride."""
PROMISED: Final = frozenset({200, 201, 202, 204, 304, 404, 409, 429, 503})  # whatever is broken


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise."""

    rule: str
    detail: str


def check(evidence: Evidence) -> list[Violation]:
    """Every violation of every rule."""
    return [Violation(rule.__name__, detail) for rule in RULES for detail in rule(evidence)]


def no_accepted_ride_is_lost(evidence: Evidence) -> Iterator[str]:
    """Every ride that a rider was shown is stored, and every stored ride has a unicorn or has
    ended.
    """
    stored = {ride.ride_id for ride in evidence.rides}
    for ride_id in sorted({entry["ride_id"] for entry in evidence.noted("ride")} - stored):
        yield f"ride {ride_id} was seen and is not stored"
    for ride in evidence.rides:
        if ride.status in {RideStatus.REQUESTED, RideStatus.OFFERED}:
            yield f"ride {ride.ride_id} is still {ride.status}"


def one_key_makes_one_ride(evidence: Evidence) -> Iterator[str]:
    """Each request makes exactly one ride, however often it was sent. There is no other ride."""
    made: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in evidence.history:
        if "key" in entry:
            made[entry["who"], entry["key"]].update(filter(None, [entry.get("ride_id")]))
    for (who, key), ride_ids in made.items():
        if len(ride_ids) > 1:
            yield f"key {key} of {who} made {sorted(ride_ids)}"
    asked_for = {ride_id_of(who, key) for who, key in made}
    for ride in evidence.rides:
        if ride.ride_id not in asked_for:
            yield f"nobody asked for ride {ride.ride_id}"


def no_unicorn_has_two_rides(evidence: Evidence) -> Iterator[str]:
    """The rides of a unicorn, as stored and as seen by their riders, never overlap in time."""
    taken: dict[str, list[tuple[datetime, datetime, str]]] = defaultdict(list)
    for ride in evidence.rides:
        if ride.unicorn_id and ride.matched_at:
            end = ride.completed_at or ride.canceled_at or NEVER
            taken[ride.unicorn_id].append((ride.matched_at, end, ride.ride_id))
    for unicorn_id, begin, end, ride_id in _seen_with_unicorn(evidence):
        taken[unicorn_id].append((begin, end, ride_id))
    for unicorn_id, spans in taken.items():
        until, holder = datetime.min.replace(tzinfo=UTC), ""
        for begin, end, ride_id in sorted(spans):
            if begin < until and ride_id != holder:
                yield f"unicorn {unicorn_id} had {holder} and {ride_id} at {begin}"
            if end > until:
                until, holder = end, ride_id


def claims_add_up(evidence: Evidence) -> Iterator[str]:
    """Rows changed exactly as often as the rides require: no write was lost, and none was done
    twice.
    """
    habits = evidence.habits
    for ride in evidence.rides:
        if not versions.adds_up(ride, habits):
            yield f"ride {ride.ride_id} is at version {ride.version}, which its steps do not make"
    for unicorn in evidence.unicorns:
        name, changed = unicorn.unicorn_id, unicorn.version - VERSIONS_BEFORE_RIDES
        told = versions.changes(name, evidence.rides, habits)
        if changed not in told:
            yield f"unicorn {name} changed {changed} times, its rides say {told}"


def nothing_seen_goes_back(evidence: Evidence) -> Iterator[str]:
    """Clients never see a version decrease, a version has one content, the last one is stored."""
    newest: dict[tuple[str, str], int] = {}
    content: dict[tuple[str, int], object] = {}
    stored = {ride.ride_id: ride.version for ride in evidence.rides}
    stored |= {unicorn.unicorn_id: unicorn.version for unicorn in evidence.unicorns}
    for entry in (*evidence.noted("ride"), *evidence.noted("unicorn")):
        name, version = entry[f"{entry['what']}_id"], entry["version"]
        who = entry.get("who", name)
        before = newest.get((who, name), 0)
        newest[who, name] = version
        if not before <= version <= stored.get(name, version):
            yield f"{who} saw {name} at {before}, then {version}; stored: {stored[name]}"
        shown = (entry.get("status"), entry["ride_id"])
        if content.setdefault((name, version), shown) != shown:
            yield f"{name} has two versions {version}: {content[name, version]} and {shown}"


def no_reservation_is_orphaned(evidence: Evidence) -> Iterator[str]:
    """A ride has a unicorn if and only if that unicorn has this ride."""
    holds = {unicorn.unicorn_id: unicorn.ride_id for unicorn in evidence.unicorns}
    wanted = {ride.ride_id: ride.unicorn_id for ride in evidence.rides if ride.status in ASSIGNED}
    for unicorn_id, ride_id in holds.items():
        if ride_id and wanted.get(ride_id) != unicorn_id:
            yield f"unicorn {unicorn_id} is held by {ride_id}, which is not with it"
    for ride_id, named in wanted.items():
        if named is None or holds.get(named) != ride_id:
            yield f"ride {ride_id} counts on {named}, which does not know"


def nothing_that_ended_waits(evidence: Evidence) -> Iterator[str]:
    """An ended ride is in no waiting set and not in the index of open rides; an open ride has a due
    time.
    """
    for ride in evidence.rides:
        if ride.is_terminal and ride.ride_id in evidence.waiting:
            yield f"ride {ride.ride_id} is {ride.status} and waits in Redis"
        if ride.is_terminal and (ride.due_at or ride.ride_id in evidence.indexed):
            yield f"ride {ride.ride_id} is {ride.status} and due"
        if not ride.is_terminal and ride.due_at is None:
            yield f"ride {ride.ride_id} is {ride.status} and never due"


def a_unicorn_that_is_heard_keeps_its_ride(evidence: Evidence) -> Iterator[str]:
    """A unicorn that does not fall silent loses a ride only by declining it, and stays on duty."""
    habits = evidence.habits
    for ride in evidence.rides:
        for unicorn_id in sorted(ride.excluded):
            habit, declined = habits.get(unicorn_id), unicorn_id in ride.declined
            if habit == Habit.STEADY or (habit == Habit.CHOOSY and not declined):
                yield f"ride {ride.ride_id} was taken from {unicorn_id}"
    for unicorn in evidence.unicorns:
        if habits.get(unicorn.unicorn_id) == Habit.STEADY and not unicorn.accepting:
            yield f"unicorn {unicorn.unicorn_id} was taken off duty"


def nothing_is_given_up(evidence: Evidence) -> Iterator[str]:
    """There were enough unicorns, so a ride ends without one only if its rider canceled it."""
    for ride in evidence.rides:
        if ride.status is RideStatus.UNMATCHED:
            yield f"ride {ride.ride_id} ended unmatched"


def only_promised_answers(evidence: Evidence) -> Iterator[str]:
    for entry in evidence.noted("answered"):
        if entry["status"] not in PROMISED:
            yield f"call {entry['call']} was answered {entry['status']}"


def advice_is_for_the_idle(evidence: Evidence) -> Iterator[str]:
    """No unicorn that sees its ride is told to wait elsewhere."""
    for entry in evidence.noted("unicorn"):
        if entry["ride_id"] and entry.get("advised"):
            yield f"unicorn {entry['unicorn_id']} had {entry['ride_id']} and advice"


def a_unicorn_has_one_advice(evidence: Evidence) -> Iterator[str]:
    """The list for machines names each unicorn at most once."""
    for entry in evidence.noted("advice"):
        for name, times in Counter(entry["unicorn_ids"]).items():
            if times > 1:
                yield f"unicorn {name} was advised {times} times at once"


def no_process_ends_by_itself(evidence: Evidence) -> Iterator[str]:
    for entry in evidence.noted("ended"):
        yield f"{entry['name']} ended with {entry['code']}"


RULES: Final[tuple[Rule, ...]] = (
    no_accepted_ride_is_lost,
    one_key_makes_one_ride,
    no_unicorn_has_two_rides,
    claims_add_up,
    nothing_seen_goes_back,
    no_reservation_is_orphaned,
    nothing_that_ended_waits,
    a_unicorn_that_is_heard_keeps_its_ride,
    nothing_is_given_up,
    only_promised_answers,
    advice_is_for_the_idle,
    a_unicorn_has_one_advice,
    no_process_ends_by_itself,
)


def _seen_with_unicorn(evidence: Evidence) -> Iterator[tuple[str, datetime, datetime, str]]:
    """Each unicorn with a ride and the time in which, by its rider's reads, it certainly was on
    that ride.
    """
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for entry in evidence.noted("ride"):
        if entry["unicorn_id"] and entry["status"] in ASSIGNED:
            pair = entry["unicorn_id"], entry["ride_id"]
            begin, _ = spans.get(pair, (entry["at"], 0))
            spans[pair] = begin, entry["since"]
    for (unicorn_id, ride_id), (begin, end) in spans.items():
        if begin < end:
            first, last = (datetime.fromtimestamp(instant, UTC) for instant in (begin, end))
            yield unicorn_id, first, last, ride_id
