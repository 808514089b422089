"""The Redis side of the ports in memory, for tests whose unit is pure."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import h3

from service.core.city_map import SeenUnicorn, WaitingRide
from service.core.coming import most_taken_back
from service.core.ports import LeaseLost, Nearby, PlaceInLine, RecentRequest, Sighting, WaitingZone
from service.core.statistics import Tally, minute_of, wait_class
from service.matching.correction import Correction, Kind, Leg
from service.matching.demand import PICKUP_RESOLUTION
from service.matching.quotes import QuotedEta
from service.matching.travel import GreatCircle
from service.matching.zones import zone_of
from service.model import (
    Advice,
    Box,
    FleetEntry,
    Hearing,
    Location,
    Pairing,
    Position,
    PositionProblem,
    Presence,
    Ride,
    SilentTogether,
    Unicorn,
    UnicornState,
)
from service.model.errors import Unavailable
from service.model.presence import (
    AT_PICKUP_METRES,
    FASTEST_METRES_PER_SECOND,
    FORGOTTEN_AFTER,
    HEARING_GAP,
    PATROL_EVERY,
    PROBLEM_AFTER,
    TRAIL_METRES,
    TRAIL_PLACES,
    Patrol,
    silent_together,
)
from service.stores.redis.legs import MOST_LEGS, MOST_QUOTES
from service.stores.redis.moves import QUARTER


class FakeFleetIndex:
    """`FleetIndex` in memory; states do not expire by themselves, `forget_state` does it."""

    def __init__(self, stale: timedelta = timedelta(seconds=60)) -> None:
        self._stale = stale
        self._positions: dict[str, Position] = {}
        self._doubted: dict[str, Position] = {}
        self._states: dict[str, Unicorn] = {}
        self._rides: dict[str, tuple[str, int]] = {}
        self._heard: dict[str, datetime] = {}
        self._called: dict[str, datetime] = {}
        self._refused: dict[str, datetime] = {}
        self._placed: dict[str, datetime] = {}
        self._patrolled_until: dict[tuple[str, Patrol], datetime] = {}
        self._problems: dict[str, tuple[PositionProblem, datetime]] = {}
        self.epoch: datetime | None = None
        self._listening: tuple[datetime, datetime] | None = None
        self._listeners: dict[str, datetime] = {}
        self._trails: dict[str, tuple[Position, ...]] = {}
        self._reached: dict[str, tuple[str, datetime]] = {}
        self._taken_back: dict[tuple[str, str], datetime] = {}
        self.advice: dict[str, Advice] = {}

    def record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        self._called[unicorn_id] = now
        return self._record(unicorn_id, position, now)

    def _record(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        return replace(
            self._noted(unicorn_id, position, now), advice=self._advice_of(unicorn_id, now)
        )

    def _advice_of(self, unicorn_id: str, now: datetime) -> Advice | None:
        advice = self.advice.get(unicorn_id)
        return advice if advice and advice.holds(now) else None

    def _noted(self, unicorn_id: str, position: Position, now: datetime) -> Sighting:
        known = self._positions.get(unicorn_id)
        unicorn = self._states.get(unicorn_id)
        ride_version = self._ride_version(unicorn_id)
        self._heard[unicorn_id] = now
        if known and known.recorded_at >= position.recorded_at:
            self._placed[unicorn_id] = now
            return Sighting(unicorn, is_new_here=False, ride_version=ride_version)
        if not self._is_plausible(unicorn_id, position):
            self._doubted[unicorn_id] = position
            self._note_problem(unicorn_id, PositionProblem.IMPLAUSIBLE_JUMP, now)
            problem = self._problem(unicorn_id, now)
            return Sighting(unicorn, False, ride_version, problem=problem)
        self._doubted.pop(unicorn_id, None)
        self._problems.pop(unicorn_id, None)
        self._placed[unicorn_id] = now
        fresh = self.position(unicorn_id, now)
        self._positions[unicorn_id] = position
        self._extend_trail(unicorn_id, position)
        self._note_reached(unicorn_id, position)
        entered = fresh is None or zone_of(fresh.location) != zone_of(position.location)
        return Sighting(unicorn, entered, ride_version)

    def record_all(
        self, positions: Mapping[str, Position], now: datetime
    ) -> Mapping[str, Sighting]:
        return {name: self._record(name, position, now) for name, position in positions.items()}

    def _extend_trail(self, unicorn_id: str, position: Position) -> None:
        known = self._trails.get(unicorn_id, ())
        last = known[-1].location if known else None
        if last is None or GreatCircle().crow_metres(last, position.location) >= TRAIL_METRES:
            self._trails[unicorn_id] = (*known, position)[-TRAIL_PLACES:]

    def _note_reached(self, unicorn_id: str, position: Position) -> None:
        unicorn = self._states.get(unicorn_id)
        if unicorn is None or unicorn.state is not UnicornState.RESERVED or unicorn.trip is None:
            return
        metres = GreatCircle().crow_metres(unicorn.trip.pickup, position.location)
        known = self._reached.get(unicorn_id)
        is_new = known is None or known[0] != unicorn.ride_id
        if metres <= AT_PICKUP_METRES and is_new and unicorn.ride_id:
            self._reached[unicorn_id] = unicorn.ride_id, position.recorded_at

    def reached(self, unicorn_id: str, ride_id: str) -> datetime | None:
        known = self._reached.get(unicorn_id)
        return known[1] if known and known[0] == ride_id else None

    def _is_plausible(self, unicorn_id: str, position: Position) -> bool:
        known, doubted = self._positions.get(unicorn_id), self._doubted.get(unicorn_id)
        others = [other for other in (known, doubted) if other]
        return known is None or any(_agree(other, position) for other in others)

    def ignore_all(self, problems: Mapping[str, PositionProblem], now: datetime) -> None:
        for unicorn_id, problem in problems.items():
            self._note_problem(unicorn_id, problem, now)

    def _note_problem(self, unicorn_id: str, problem: PositionProblem, now: datetime) -> None:
        _, since = self._problems.get(unicorn_id, (problem, now))
        self._problems[unicorn_id] = (problem, since)

    def _problem(self, unicorn_id: str, now: datetime) -> PositionProblem | None:
        problem, since = self._problems.get(unicorn_id, (None, now))
        return problem if now - since >= PROBLEM_AFTER else None

    def hear(self, unicorn_id: str, now: datetime, *, refused: bool = False) -> None:
        self._heard[unicorn_id] = now
        (self._refused if refused else self._called)[unicorn_id] = now

    def refresh(self, unicorn: Unicorn, now: datetime, ride_version: int | None = None) -> None:
        known = self._states.get(unicorn.unicorn_id)
        if known is None or known.version <= unicorn.version:
            self._states[unicorn.unicorn_id] = unicorn
            self._note_ride(unicorn, ride_version)

    def _note_ride(self, unicorn: Unicorn, version: int | None) -> None:
        name, ride_id = unicorn.unicorn_id, unicorn.ride_id or ""
        known_id, known = self._rides.get(name, ("", 0))
        if version is not None and not (known_id == ride_id and known > version):
            self._rides[name] = (ride_id, version)
        elif known_id != ride_id:
            self._rides.pop(name, None)

    def _ride_version(self, unicorn_id: str) -> int | None:
        known = self._rides.get(unicorn_id)
        return known[1] if known else None

    def refresh_all(self, unicorns: Collection[Unicorn], now: datetime) -> None:
        for unicorn in unicorns:
            self.refresh(unicorn, now)

    def forget(self, unicorn_ids: Collection[str]) -> None:
        for unicorn_id in unicorn_ids:
            calls = self._heard, self._called, self._refused, self._placed
            for known in (self._positions, self._states, self._trails, self._reached, *calls):
                known.pop(unicorn_id, None)

    def entries(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, FleetEntry]:
        return {
            name: FleetEntry(unicorn, self.position(name, now))
            for name in unicorn_ids
            if (unicorn := self._states.get(name))
        }

    def position(self, unicorn_id: str, now: datetime) -> Position | None:
        position = self._positions.get(unicorn_id)
        return position if position and now - position.recorded_at <= self._stale else None

    def near(
        self,
        places: Sequence[Location],
        *,
        reach_metres: float,
        per_place: int,
        now: datetime,
        equal_metres: float = 0.0,
    ) -> Nearby:
        known = [e for e in self.entries(sorted(self._states), now).values() if e.position]
        found: dict[str, FleetEntry] = {}
        cut = set()
        for place in places:
            usable = _by_distance([e for e in known if e.unicorn.can_take_a_ride], place)
            usable = [(metres, e) for metres, e in usable if metres <= reach_metres]
            busy = _by_distance([e for e in known if not e.unicorn.can_take_a_ride], place)
            count = per_place + sum(_corner(other) == _corner(place) for other in places) - 1
            chosen = usable[:count]
            chosen += [(metres, e) for metres, e in busy[:per_place] if metres <= reach_metres]
            if len(usable) > count:
                cut.add(place)
                limit = usable[count - 1][0] + equal_metres
                equals = [(m, e) for m, e in usable if m <= limit] if equal_metres else []
                equals.sort(key=lambda pair: pair[1].unicorn.idle_since or now)
                chosen += equals[: max(per_place, len(places))]
            found |= {e.unicorn.unicorn_id: e for _, e in chosen}
        return Nearby(list(found.values()), frozenset(cut))

    def of_zone(self, zone: str, now: datetime) -> Sequence[FleetEntry]:
        known = self.entries(sorted(self._states), now).values()
        return [
            entry
            for entry in known
            if entry.position and (at := _starts_from(entry)) and zone_of(at) == zone
        ]

    def presence(self, unicorn_id: str, now: datetime) -> Presence:
        hearing = self._hearing()
        return Presence(
            position=self.position(unicorn_id, now),
            silence=hearing.silence(self._heard.get(unicorn_id), now),
            unplaced=hearing.silence(self._placed.get(unicorn_id), now),
            problem=self._problem(unicorn_id, now),
            ride_version=self._ride_version(unicorn_id),
            advice=self._advice_of(unicorn_id, now),
            trail=self._trails.get(unicorn_id, ()),
        )

    def presences(self, unicorn_ids: Collection[str], now: datetime) -> Mapping[str, Presence]:
        return {unicorn_id: self.presence(unicorn_id, now) for unicorn_id in unicorn_ids}

    def patrols_due(self, shard: str, now: datetime) -> Collection[Patrol]:
        ended = self._patrolled_until
        return [each for each in Patrol if ended.get((shard, each), now) <= now]

    def note_patrols(self, shard: str, patrols: Collection[Patrol], now: datetime) -> None:
        for patrol in patrols:
            self._patrolled_until[shard, patrol] = now + PATROL_EVERY[patrol]

    def could_answer(self, unicorn_id: str, since: datetime, now: datetime) -> bool:
        called, refused = self._called.get(unicorn_id), self._refused.get(unicorn_id)
        return self._hearing().could_answer(called, refused, since, now)

    def silent_together(self, unicorn_id: str, now: datetime) -> SilentTogether:
        busy = [name for name, unicorn in self._states.items() if unicorn.ride_id]
        heard = {name: self._heard.get(name) for name in {unicorn_id, *busy}}
        return silent_together(unicorn_id, heard, self._hearing(), now, self._stale)

    def _hearing(self) -> Hearing:
        since, last = self._listening or (None, None)
        return Hearing(self.epoch, since, last, HEARING_GAP * self._stale)

    def may_take_back(self, ride_id: str, unicorn_id: str, now: datetime) -> bool:
        minute = timedelta(minutes=1)
        lately = {name: at for name, at in self._taken_back.items() if now - at < minute}
        assigned = sum(unicorn.ride_id is not None for unicorn in self._states.values())
        pair = ride_id, unicorn_id
        if pair not in lately and len(lately) >= most_taken_back(assigned):
            return False
        self._taken_back = {pair: now} | lately
        return True

    def report_hearing(self, process: str, now: datetime, *, is_deaf: bool = False) -> None:
        gap, forgotten = HEARING_GAP * self._stale, FORGOTTEN_AFTER * self._stale
        said = {**self._listeners, process: now}
        self._listeners = {n: at for n, at in said.items() if now - forgotten < at <= now + gap}
        all_heard = min(self._listeners.values())
        since, last = self._listening or (now, now)
        if is_deaf or now - all_heard > gap or abs(now - last) > gap:
            self._listening = (now, now)
        else:
            self._listening = (since, max(all_heard, last))

    def withdraw_hearing(self, process: str) -> None:
        self._listeners.pop(process, None)

    def begin_epoch(self, now: datetime) -> bool:
        if self.epoch is not None:
            return False
        self.epoch = now
        return True

    def forget_state(self, unicorn_id: str) -> None:
        del self._states[unicorn_id]


def _corner(place: Location) -> tuple[float, float]:
    return round(place.latitude, 3), round(place.longitude, 3)


def _agree(one: Position, other: Position) -> bool:
    seconds = max(1.0, abs((other.recorded_at - one.recorded_at).total_seconds()))
    metres = GreatCircle().crow_metres(one.location, other.location)
    return metres <= FASTEST_METRES_PER_SECOND * seconds


def _by_distance(entries: Sequence[FleetEntry], place: Location) -> list[tuple[float, FleetEntry]]:
    """With how far from the place each is, or will drop off its rider; nearest first."""
    ends = [(_starts_from(entry), entry) for entry in entries]
    metres = [(GreatCircle().crow_metres(at, place), entry) for at, entry in ends if at]
    return sorted(metres, key=lambda pair: pair[0])


def _starts_from(entry: FleetEntry) -> Location | None:
    if entry.unicorn.can_take_a_ride and entry.position:
        return entry.position.location
    return entry.unicorn.trip.dropoff if entry.unicorn.trip else None


class FakeWaitingRides:
    """`WaitingRides` and `RoundLeases` in memory; marks never expire by themselves.

    A mark is "1", or names the lease whose holder refused a job.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.rides: dict[str, dict[str, Ride]] = {}
        self.plans: dict[str, dict[str, Pairing]] = {}
        self.marks: dict[str, object] = {}
        self.running: dict[str, set[str]] = {}
        self.alone: dict[str, dict[str, int]] = {}
        self.resume: dict[str, PlaceInLine] = {}
        self.requests: dict[tuple[str, int, str], RecentRequest] = {}
        """By zone, quarter of an hour and rider."""
        self._holders: dict[str, FakeRoundLease] = {}

    @property
    def leased(self) -> set[str]:
        return set(self._holders)

    def expire(self, zone: str) -> None:
        """The zone's lease has run out, and with it the mark of a refused job."""
        lease = self._holders.pop(zone)
        if self.marks.get(zone) is lease:
            del self.marks[zone]

    def add(self, rides: Sequence[Ride]) -> Sequence[str]:
        with self._lock:
            for ride in rides:
                self.rides.setdefault(ride.zone, {})[ride.ride_id] = ride
                self._count(ride)
            return [zone for zone in {ride.zone: None for ride in rides} if self._set_mark(zone)]

    def _count(self, ride: Ride) -> None:
        at, pickup = ride.requested_at, ride.pickup
        cell = h3.latlng_to_cell(pickup.latitude, pickup.longitude, PICKUP_RESOLUTION)
        rider = ride.zone, int(at.timestamp()) // QUARTER, ride.rider_id
        self.requests.setdefault(rider, RecentRequest(cell=cell, at=at))

    def correct(self, ride: Ride) -> None:
        with self._lock:
            self.rides.setdefault(ride.zone, {})[ride.ride_id] = ride

    def mark(self, zones: Iterable[str]) -> Sequence[str]:
        with self._lock:
            return [z for z in sorted(zones) if self.rides.get(z) and self._set_mark(z)]

    def discard(self, zone: str, ride_ids: Collection[str]) -> None:
        with self._lock:
            for ride_id in ride_ids:
                self.rides.get(zone, {}).pop(ride_id, None)

    def plan_of(self, zone: str, ride_id: str) -> Pairing | None:
        return self.plans.get(zone, {}).get(ride_id)

    def take(self, zone: str) -> FakeRoundLease | None:
        with self._lock:
            if holder := self._holders.get(zone):
                self.marks[zone] = holder
                return None
            self.marks.pop(zone, None)
            return self._holders.setdefault(zone, FakeRoundLease(self, zone))

    def holder(self, zone: str) -> FakeRoundLease | None:
        return self._holders.get(zone)

    def set_holder(self, lease: FakeRoundLease | None, zone: str) -> None:
        if lease:
            self._holders[zone] = lease
        else:
            self._holders.pop(zone, None)

    def _set_mark(self, zone: str) -> bool:
        fresh = zone not in self.marks
        self.marks.setdefault(zone, "1")
        return fresh


class FakeRoundLease:
    def __init__(self, waiting: FakeWaitingRides, zone: str) -> None:
        self._waiting = waiting
        self._suspects: set[str] | None = None
        self.zone = zone

    def begin_round(self) -> WaitingZone:
        waiting, zone = self._waiting, self.zone
        if waiting.holder(zone) not in (None, self):
            raise LeaseLost("another job has the lease")
        waiting.set_holder(self, zone)
        waiting.marks.pop(zone, None)
        rides, alone = waiting.rides.get(zone, {}), waiting.alone.get(zone, {})
        self._suspects = waiting.running.get(zone, set()) & rides.keys()
        waiting.running[zone] = set(rides)
        return WaitingZone(
            rides=list(rides.values()),
            plans=dict(waiting.plans.get(zone, {})),
            suspects={ride_id: alone.get(ride_id, 0) for ride_id in self._suspects},
            resume_at=waiting.resume.pop(zone, None),
        )

    def finish_round(self, plans: Sequence[Pairing], resume_at: PlaceInLine | None) -> None:
        self._fence()
        self._waiting.plans[self.zone] = {plan.ride_id: plan for plan in plans}
        self._waiting.running[self.zone] = set(self._suspects or ())
        if resume_at:
            self._waiting.resume[self.zone] = resume_at

    def try_alone(self, ride_id: str) -> None:
        self._fence()
        alone = self._waiting.alone.setdefault(self.zone, {})
        alone[ride_id] = alone.get(ride_id, 0) + 1

    def clear(self, ride_id: str) -> None:
        self._waiting.alone.get(self.zone, {}).pop(ride_id, None)
        self._fence()
        self._waiting.running[self.zone].discard(ride_id)
        if self._suspects:
            self._suspects.discard(ride_id)

    def release_unless_marked(self) -> bool:
        if self._has_lease() and self.zone in self._waiting.marks:
            return False
        if self._has_lease():
            self._waiting.set_holder(None, self.zone)
        return True

    def release(self) -> None:
        if self._has_lease():
            self._waiting.expire(self.zone)

    def release_after_error(self) -> None:
        if self._has_lease() and self._suspects is not None:
            self._waiting.running[self.zone] = set(self._suspects)
        self.release()

    def _has_lease(self) -> bool:
        return self._waiting.holder(self.zone) is self

    def _fence(self) -> None:
        if not self._has_lease():
            raise LeaseLost("another job has the lease")


class FakeCityMap:
    """`CityMap` over the fleet index and the waiting rides of other fakes."""

    def __init__(self, fleet: FakeFleetIndex, waiting: FakeWaitingRides) -> None:
        self._fleet, self._waiting = fleet, waiting

    def unicorns(self, box: Box, limit: int, now: datetime) -> Sequence[SeenUnicorn]:
        entries = self._fleet.entries(self._fleet._states, now).values()
        seen = [_seen(entry.unicorn, entry.position) for entry in entries if entry.position]
        return [
            each
            for each in seen
            if box.contains(each.location) and each.state is not UnicornState.REMOVED
        ][:limit]

    def states(self, now: datetime) -> Mapping[UnicornState, int]:
        states = [unicorn.state for unicorn in self._fleet._states.values()]
        return Counter(state for state in states if state is not UnicornState.REMOVED)

    def waiting(self, box: Box, limit: int) -> Sequence[WaitingRide]:
        rides = [ride for zone in self._waiting.rides.values() for ride in zone.values()]
        rides.sort(key=lambda ride: (ride.requested_at, ride.ride_id))
        return [
            WaitingRide(ride, self._waiting.plan_of(ride.zone, ride.ride_id))
            for ride in rides
            if box.contains(ride.pickup)
        ][:limit]


def _seen(unicorn: Unicorn, position: Position) -> SeenUnicorn:
    return SeenUnicorn(
        unicorn.unicorn_id,
        unicorn.name,
        unicorn.color,
        unicorn.version,
        unicorn.state,
        unicorn.accepting,
        unicorn.ride_id,
        position.location,
        position.heading,
        position.recorded_at,
    )


class FakeStatistics:
    """`Statistics` in memory."""

    def __init__(self) -> None:
        self._tallies: dict[datetime, Tally] = {}

    def matched(self, seconds: float, now: datetime) -> None:
        known, place = self._of(now), wait_class(seconds)
        waits = tuple(count + (at == place) for at, count in enumerate(known.waits))
        after = replace(known, seconds=known.seconds + seconds, waits=waits)
        self._tallies[minute_of(now)] = after

    def counted(self, busy: int, on_duty: int, now: datetime) -> None:
        self._tallies[minute_of(now)] = replace(self._of(now), busy=busy, on_duty=on_duty)

    def of(self, minutes: Sequence[datetime]) -> Sequence[Tally]:
        return [self._of(minute) for minute in minutes]

    def _of(self, at: datetime) -> Tally:
        return self._tallies.get(minute_of(at), Tally())


class FakeRoundQueue:
    """Remembers what was published; `fail` makes it unavailable."""

    def __init__(self) -> None:
        self.published: list[tuple[str, str]] = []
        self.fail = False

    def publish(self, zone: str, request_id: str) -> None:
        if self.fail:
            raise Unavailable("the broker is away")
        self.published.append((zone, request_id))


class FakeListener:
    """Never hears anything, never sleeps."""

    def wait(self, seconds: float) -> bool:
        return False

    def wake(self) -> None:
        """Nobody sleeps here."""


class FakeChanges:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.announced: list[str] = []

    def announce(self, *topics: str) -> None:
        self.announced.extend(topics)

    @contextmanager
    def listen(self, topic: str) -> Iterator[FakeListener]:
        yield FakeListener()


class FakeLegs:
    """`Legs` in memory, with the bound of the real store."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, Kind], list[Leg]] = {}
        self.kept_quotes: dict[tuple[str, Kind], list[QuotedEta]] = {}

    def add(self, zone: str, kind: Kind, leg: Leg | None, quote: QuotedEta) -> None:
        if leg:
            self.kept[zone, kind] = [leg, *self.kept.get((zone, kind), [])][:MOST_LEGS]
        known = self.kept_quotes.get((zone, kind), [])
        self.kept_quotes[zone, kind] = [quote, *known][:MOST_QUOTES]

    def quotes(self, zone: str, kind: Kind) -> Sequence[QuotedEta]:
        return self.kept_quotes.get((zone, kind), [])

    def recent(self, zone: str, kind: Kind) -> Sequence[Leg]:
        return self.kept.get((zone, kind), [])

    def zones(self) -> Collection[str]:
        return {zone for zone, _ in (*self.kept, *self.kept_quotes)}


class FakeCorrections:
    """`LearnedCorrections` in memory."""

    def __init__(self) -> None:
        self.learned: dict[tuple[str, Kind], Correction] = {}

    def of(self, zone: str, kind: Kind) -> Correction | None:
        return self.learned.get((zone, kind))

    def put(self, zone: str, kind: Kind, correction: Correction) -> None:
        self.learned[zone, kind] = correction
