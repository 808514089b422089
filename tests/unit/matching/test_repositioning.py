"""Where idle unicorns are sent, over many cities."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, factorial
from types import SimpleNamespace

import h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.matching import goals, repositioning
from service.matching.demand import GOAL_RESOLUTION, PICKUP_RESOLUTION, Demand, Move, Moves
from service.matching.following import Progress, progress, trust_after
from service.matching.remaining import RemainingTime
from service.matching.repositioning import reposition
from service.matching.travel import EARTH_RADIUS_METRES, FloatArray, GreatCircle, seconds_between
from service.matching.tuning import Repositioning
from service.model import FleetEntry, Location, Position, Trip
from tests.support.builders import NOW, a_usable_unicorn

TRAVEL, REMAINING, KNOBS = GreatCircle(), RemainingTime.default(), Repositioning()
TIMES_SQUARE = Location(40.7580, -73.9855)
SOUTH = Location(40.7250, -73.9950)


def idle(name: str, at: Location) -> FleetEntry:
    return FleetEntry(a_usable_unicorn(unicorn_id=name), Position(at, NOW))


def soon_free(name: str, at: Location) -> FleetEntry:
    unicorn = a_usable_unicorn(unicorn_id=name).reserved("ride", Trip(at, at, NOW))
    return FleetEntry(unicorn, Position(at, NOW))


def demand_at(*places: Location, each: int = 40) -> Demand:
    cells = [h3.latlng_to_cell(p.latitude, p.longitude, PICKUP_RESOLUTION) for p in places]
    return Demand(Counter(dict.fromkeys(cells, each)), lately=each * len(places) // 3)


def run(fleet: Sequence[FleetEntry], demand: Demand, **others: object) -> Moves:
    return reposition(fleet, demand, NOW, KNOBS, TRAVEL, REMAINING, **others)  # type: ignore[arg-type]


places = st.builds(Location, st.floats(40.70, 40.78), st.floats(-74.02, -73.94))


@st.composite
def cities(draw: st.DrawFn) -> tuple[list[FleetEntry], Demand]:
    dice = random.Random(draw(st.integers(0, 10_000)))

    def somewhere() -> Location:
        return Location(dice.uniform(40.70, 40.78), dice.uniform(-74.02, -73.94))

    fleet = [idle(f"u{n}", somewhere()) for n in range(draw(st.integers(1, 40)))]
    fleet += [soon_free(f"v{n}", somewhere()) for n in range(draw(st.integers(0, 15)))]
    asked = [somewhere() for _ in range(draw(st.integers(1, 60)))]
    cells = [h3.latlng_to_cell(at.latitude, at.longitude, PICKUP_RESOLUTION) for at in asked]
    return fleet, Demand(Counter(dice.choices(cells, k=200)), draw(st.integers(0, 120)))


@given(cities())
@settings(max_examples=40)
def test_each_unicorn_is_sent_once_within_the_longest_drive_and_only_if_it_is_not_near_enough(
    city: tuple[list[FleetEntry], Demand],
) -> None:
    fleet, demand = city
    at = {entry.unicorn.unicorn_id: entry for entry in fleet}
    moves = run(fleet, demand).moves
    assert len({move.unicorn_id for move in moves}) == len(moves)
    for move in moves:
        entry = at[move.unicorn_id]
        assert entry.unicorn.can_take_a_ride
        assert entry.position
        drive = seconds_between(TRAVEL, entry.position.location, move.target)
        assert KNOBS.stay_seconds < drive <= KNOBS.longest_drive_seconds
        assert drive == pytest.approx(move.seconds)


@given(cities())
@settings(max_examples=40)
def test_unicorns_are_sent_only_to_where_riders_asked(
    city: tuple[list[FleetEntry], Demand],
) -> None:
    fleet, demand = city
    for move in run(fleet, demand).moves:
        small = h3.latlng_to_cell(move.target.latitude, move.target.longitude, PICKUP_RESOLUTION)
        assert small in demand.by_cell
        assert h3.cell_to_parent(small, GOAL_RESOLUTION) == move.cell


@given(cities(), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_the_input_does_not_matter(
    city: tuple[list[FleetEntry], Demand], dice: random.Random
) -> None:
    fleet, demand = city
    shuffled, cells = list(fleet), list(demand.by_cell.items())
    dice.shuffle(shuffled)
    dice.shuffle(cells)
    again = run(shuffled, replace(demand, by_cell=dict(cells)))
    assert sorted(again.moves, key=str) == sorted(run(fleet, demand).moves, key=str)


@given(cities())
@settings(max_examples=30)
def test_a_unicorn_that_follows_is_never_sent_back_and_forth(
    city: tuple[list[FleetEntry], Demand],
) -> None:
    fleet, demand = city
    found, first = run(fleet, demand), dict[str, str]()
    for _ in range(15):
        for move in found.moves:
            assert first.setdefault(move.unicorn_id, move.cell) == move.cell
        fleet = [driven(entry, found.moves, 30.0) for entry in fleet]
        found = run(fleet, demand, goal_by_unicorn=found.goal_by_unicorn)
    assert found.moves == ()


def driven(entry: FleetEntry, moves: Sequence[Move], seconds: float) -> FleetEntry:
    """The unicorn, so many seconds later on its way."""
    move = next((m for m in moves if m.unicorn_id == entry.unicorn.unicorn_id), None)
    if move is None or entry.position is None:
        return entry
    start, share = entry.position.location, min(1.0, seconds / move.seconds)
    at = Location(
        start.latitude + share * (move.target.latitude - start.latitude),
        start.longitude + share * (move.target.longitude - start.longitude),
    )
    return replace(entry, position=Position(at, NOW))


def test_no_unicorn_moves_without_enough_riders() -> None:
    fleet = [idle("u1", SOUTH)]
    assert run(fleet, Demand()) == Moves()
    assert run(fleet, demand_at(TIMES_SQUARE, each=KNOBS.least_riders - 1)) == Moves()
    asked_once_but_no_longer = replace(demand_at(TIMES_SQUARE), lately=0)
    assert run(fleet, asked_once_but_no_longer).moves == ()


def test_a_unicorn_goes_to_where_riders_ask() -> None:
    start = Location(40.7430, -73.9855)
    (move,) = run([idle("u1", start)], demand_at(TIMES_SQUARE)).moves
    assert TRAVEL.crow_metres(move.target, TIMES_SQUARE) < 100
    assert move.metres == pytest.approx(
        TRAVEL.crow_metres(start, move.target) * TRAVEL.detour, abs=1
    )


def test_a_unicorn_that_will_be_free_at_the_goal_counts_like_one_that_waits_there() -> None:
    start = Location(40.7470, -73.9855)
    few = replace(demand_at(TIMES_SQUARE, each=20), lately=1)
    assert run([idle("u1", start)], few).moves
    there = [soon_free(f"v{n}", TIMES_SQUARE) for n in range(6)]
    assert run([idle("u1", start), *there], few).moves == ()
    planned = [entry.unicorn.unicorn_id for entry in there]
    assert run([idle("u1", start), *there], few, planned=planned).moves


def test_enough_unicorns_that_stand_near_keep_others_away() -> None:
    start = Location(40.7430, -73.9855)
    standing = [idle(f"s{n:02}", TIMES_SQUARE) for n in range(30)]
    assert run([idle("u1", start), *standing], demand_at(TIMES_SQUARE)).moves == ()


def test_a_unicorn_that_does_not_follow_is_sent_only_if_no_other_can_be() -> None:
    few = replace(demand_at(TIMES_SQUARE, each=20), lately=1)
    near, far = idle("near", Location(40.7470, -73.9855)), idle("far", Location(40.7460, -73.9855))
    assert [m.unicorn_id for m in run([near, far], few).moves[:1]] == ["near"]
    told = run([near, far], few, trust={"near": 0.3}).moves
    assert [move.unicorn_id for move in told] == ["far"]
    assert run([near], few, trust={"near": 0.0}).moves == ()


class WithRiver:
    """Travel times that are infinite across the latitude of a river."""

    def estimate(self, origins: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
        seconds, metres = TRAVEL.estimate(origins, ends)
        across = (origins[:, 0] < 40.75) != (ends[:, 0] < 40.75)
        return np.where(across, np.inf, seconds), np.where(across, np.inf, metres)

    def reach_metres(self, seconds: float) -> float:
        return TRAVEL.reach_metres(seconds)


def test_no_unicorn_is_sent_to_a_goal_without_a_way() -> None:
    fleet = [idle("u1", Location(40.7430, -73.9855))]
    found = reposition(fleet, demand_at(TIMES_SQUARE), NOW, KNOBS, WithRiver(), REMAINING)
    assert found.moves == ()


def seen_of(at: Location, *, elapsed: float = 30.0) -> Mapping[str, Progress]:
    start = Location(40.7430, -73.9855)
    moves = run([idle("u1", start)], demand_at(TIMES_SQUARE)).moves
    return progress(moves, [idle("u1", at)], elapsed, TRAVEL)


def test_following_is_judged_by_the_remaining_way() -> None:
    assert seen_of(Location(40.7430, -73.9855))["u1"] == Progress(followed=False, metres=0.0)
    on_its_way = seen_of(Location(40.7442, -73.9855))["u1"]
    assert on_its_way.followed
    assert on_its_way.metres == pytest.approx(183, abs=3)
    assert not seen_of(Location(40.7418, -73.9855))["u1"].followed
    assert progress((), [], 30.0, TRAVEL) == {}


def test_in_heavy_traffic_a_unicorn_follows_at_less_than_half_the_speed() -> None:
    # 48 m, 40 % of what the straight line allows in half a minute.
    assert seen_of(Location(40.7434, -73.9855))["u1"].followed
    # 18 m: it stands, and its positions scatter.
    assert not seen_of(Location(40.74316, -73.9855))["u1"].followed


def test_a_unicorn_that_got_a_ride_is_not_judged() -> None:
    moves = run([idle("u1", Location(40.7430, -73.9855))], demand_at(TIMES_SQUARE)).moves
    assert progress(moves, [soon_free("u1", SOUTH)], 30.0, TRAVEL) == {}


def test_trust_is_lost_quickly_and_regained_slowly() -> None:
    ignored = {"u1": Progress(followed=False, metres=0.0)}
    trust: Mapping[str, float] = {}
    for _ in range(4):
        trust = trust_after(trust, ignored)
    assert trust["u1"] < 0.25
    rested = trust
    for _ in range(70):
        rested = trust_after(rested, {})
    assert 0.5 < rested["u1"] < 0.75
    for _ in range(14):
        trust = trust_after(trust, {"u1": Progress(followed=True, metres=100.0)})
    assert trust == {}


def test_a_unicorn_whose_place_is_unknown_gets_no_move() -> None:
    lost = FleetEntry(a_usable_unicorn(unicorn_id="u1"), None)
    assert run([lost], demand_at(TIMES_SQUARE)).moves == ()


def test_very_many_pairs_are_decided_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(7)

    def somewhere() -> Location:
        return Location(dice.uniform(40.70, 40.90), dice.uniform(-74.10, -73.90))

    asked = Counter[str]()
    for _ in range(400):
        at = somewhere()
        asked[h3.latlng_to_cell(at.latitude, at.longitude, PICKUP_RESOLUTION)] += 1
    fleet = [idle(f"u{number}", somewhere()) for number in range(60)]
    demand = Demand(asked, 200)
    at_once = run(fleet, demand).moves
    monkeypatch.setattr(repositioning, "MOST_PAIRS", 10)
    in_blocks = run(fleet, demand).moves
    assert len({move.unicorn_id for move in in_blocks}) == len(in_blocks)
    assert max(move.seconds for move in in_blocks) <= KNOBS.longest_drive_seconds
    assert len(at_once) <= len(in_blocks) <= 1.5 * len(at_once)


EQUATOR = np.degrees(1 / EARTH_RADIUS_METRES)
"""Degrees of a metre along the equator."""


def east(*metres: float) -> FloatArray:
    return np.array([[0.0, each * EQUATOR] for each in metres])


def test_an_origins_weight_is_spread_by_a_gauss_curve_over_places_up_to_three_deviations() -> None:
    spread = goals._spread(east(0), np.array([6.0]), east(0, 600, 1200, 1799, 1801), 600)
    curve = np.exp([0, -0.5, -2, -4.495, -np.inf])
    assert spread == pytest.approx(6 * curve / curve.sum(), rel=0.001)
    assert list(goals._spread(east(), np.array([]), east(0, 600), 600)) == [0, 0]
    alone = goals._spread(east(0, 90_000), np.array([6.0, 5.0]), east(0), 600)
    assert alone == pytest.approx([6.0])


def test_a_goals_place_is_the_spot_nearest_to_the_mean_of_its_riders() -> None:
    spots = east(0, 100, 200, 5000, 5100)
    riders = np.array([1.0, 1.0, 10.0, 3.0, 1.0])
    central = goals._most_central(spots, riders, np.array([0, 0, 0, 1, 1]))
    assert list(central) == [2, 3]


def test_a_goal_expects_riders_by_the_rate_of_the_last_minutes() -> None:
    found = goals.Goals.of(demand_at(TIMES_SQUARE, each=60), KNOBS)
    (expected,) = found.expected
    assert expected == pytest.approx(20 / KNOBS.rate_seconds * KNOBS.horizon_seconds)
    nobody_soon = SimpleNamespace(available=0, ready_in=np.array([]), places=east())
    (values,) = found.slot_values(nobody_soon, KNOBS)  # type: ignore[arg-type]
    chances = 1 - np.cumsum([exp(-20) * 20**k / factorial(k) for k in range(goals.MOST_SLOTS)])
    assert values == pytest.approx(KNOBS.worth_seconds * chances)


def test_a_unicorn_that_will_be_free_takes_riders_for_the_rest_of_the_horizon() -> None:
    found = goals.Goals.of(replace(demand_at(TIMES_SQUARE), lately=2), KNOBS)
    half = np.array([KNOBS.horizon_seconds / 2])
    soon = SimpleNamespace(available=0, ready_in=half, places=found.places)
    ((first, second, *_),) = found.slot_values(soon, KNOBS)  # type: ignore[arg-type]
    # Two riders are expected, and half a unicorn.
    assert first == pytest.approx(KNOBS.worth_seconds * (1 - exp(-1.5)))
    assert second == pytest.approx(KNOBS.worth_seconds * (1 - 2.5 * exp(-1.5)))


def test_unicorns_are_sent_as_they_were_when_the_weights_were_measured() -> None:
    """Every weight moves one of these sums over many small cities."""
    dice = random.Random(19)

    def somewhere() -> Location:
        return Location(dice.uniform(40.70, 40.78), dice.uniform(-74.02, -73.94))

    sent = metres = seconds = order = 0
    for _ in range(30):
        fleet = [idle(f"u{n}", somewhere()) for n in range(20)]
        fleet += [soon_free(f"u{n}", somewhere()) for n in range(20, 28)]
        asked = [somewhere() for _ in range(12)]
        cells = [h3.latlng_to_cell(at.latitude, at.longitude, PICKUP_RESOLUTION) for at in asked]
        demand = Demand(Counter(dice.choices(cells, k=100)), dice.randrange(5, 60))
        moves = run(fleet, demand).moves
        sent += len(moves)
        metres += round(sum(move.metres for move in moves))
        seconds += round(sum(move.seconds for move in moves))
        order += sum(int(move.unicorn_id[1:]) for move in moves)
    assert (sent, order) == (251, 2434)
    assert (metres, seconds) == (376_172, 58_625)
