"""The real routing engine, on the roads of a small city that the test makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.local import roads
from service.local.processes import Process
from service.local.stack import StackError
from service.matching.travel import GreatCircle, places, seconds_between
from service.model import Location
from service.stores.osrm import TableService
from service.stores.routed import RoutedTimes
from tests.support import grid_city, manhattan
from tests.support.grid_city import corner
from tests.support.infrastructure import PROJECT, free_port, wait_until

PROGRAMS = PROJECT / ".local" / "roads"
FAR_AWAY = Location(48.85, 2.35)


class Engine:
    def __init__(self, folder: Path, extract: Path) -> None:
        self.port = free_port()
        package = roads.install(PROGRAMS)
        self.base = roads.prepare(package, extract, folder / "data")
        self.process = Process(roads.server(package, self.base, self.port, folder / "roads.log"))
        wait_until(lambda: roads.answers(self.port), "the routing engine's first answer")

    @property
    def travel(self) -> RoutedTimes:
        return RoutedTimes(
            TableService(f"http://127.0.0.1:{self.port}"),
            GreatCircle(),
            budget_seconds=5.0,
            most_places=100,
        )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("roads")
    engine = Engine(folder, grid_city.write(folder / "grid.osm"))
    yield engine
    engine.process.stop(grace=5)


def told(engine: Engine, *pairs: tuple[Location, Location]) -> tuple[list[float], list[float]]:
    origins, destinations = zip(*pairs, strict=True)
    seconds, metres = engine.travel.estimate(places(origins), places(destinations))
    return seconds.tolist(), metres.tolist()


def test_a_drive_takes_the_streets_and_obeys_one_way_rows(engine: Engine) -> None:
    east, west = corner(10, 20), corner(10, 5)
    (with_the_row, against_it), (metres, detour) = told(engine, (east, west), (west, east))
    assert metres == pytest.approx(1500, rel=0.03)
    assert detour == pytest.approx(1700, rel=0.03)  # a block up, along the next row, a block down
    assert with_the_row < against_it


def test_one_question_answers_many_pairs(engine: Engine) -> None:
    starts = [corner(row, column) for row in range(0, 30, 6) for column in range(0, 30, 6)]
    pairs = [(start, end) for start in starts for end in starts if start != end]
    seconds, metres = told(engine, *pairs)
    crow = [GreatCircle().crow_metres(*pair) for pair in pairs]
    assert np.all(np.array(metres) >= 0.95 * np.array(crow))
    assert min(seconds) > 0


def test_a_place_far_from_every_road_is_estimated_by_straight_line(engine: Engine) -> None:
    pair = (FAR_AWAY, corner(3, 3))
    seconds, metres = told(engine, pair)
    straight = GreatCircle().estimate(places([pair[0]]), places([pair[1]]))
    assert (seconds, metres) == ([straight[0][0]], [straight[1][0]])


def test_the_answers_of_an_engine_for_another_continent_are_not_used(engine: Engine) -> None:
    pair = (FAR_AWAY, Location(48.86, 2.30))
    seconds, _ = told(engine, pair)
    assert seconds[0] == pytest.approx(seconds_between(GreatCircle(), *pair), abs=1)
    travel = engine.travel
    for number in range(10):
        travel.estimate(places([FAR_AWAY]), places([Location(48.86, 2.30 + number / 100)]))
    assert not travel.knows_the_city()


@pytest.mark.skipif(not manhattan.FOLDER.exists(), reason=manhattan.ABSENT)
def test_manhattans_drives_take_what_its_streets_take(tmp_path: Path) -> None:
    engine = Engine(tmp_path, manhattan.write(tmp_path / "manhattan.osm"))
    try:
        crossings = [Location(*at) for at in manhattan.nodes().tolist()]
        fastest = manhattan.fastest_ways(range(0, 4000, 400))
        pairs = [(row, end) for row in range(0, 4000, 400) for end in range(7, 4000, 190)]
        seconds, _ = told(engine, *((crossings[a], crossings[b]) for a, b in pairs))
    finally:
        engine.process.stop(grace=5)
    expected = np.array([fastest[row // 400, end] for row, end in pairs])
    assert np.median(np.array(seconds) / expected) == pytest.approx(1.0, abs=0.1)


def test_a_rider_on_another_continent_spoils_nobody_elses_estimate(engine: Engine) -> None:
    here = (corner(10, 20), corner(10, 5))
    alone = told(engine, here)[0][0]
    travel = engine.travel
    for pair in ((FAR_AWAY, FAR_AWAY), here):
        seconds, _ = travel.estimate(places([pair[0]]), places([pair[1]]))
    assert seconds[0] == alone


def test_a_pickup_in_the_river_beside_the_city_has_an_honest_eta(engine: Engine) -> None:
    in_the_river = Location(corner(0, 0).latitude, corner(0, 0).longitude - 0.003)
    seconds, metres = told(engine, (corner(0, 0), in_the_river))
    assert seconds[0] > 0
    assert metres[0] >= 0.95 * GreatCircle().crow_metres(corner(0, 0), in_the_river)


def test_roads_are_prepared_once(engine: Engine, tmp_path: Path) -> None:
    package, extract = roads.install(PROGRAMS), grid_city.write(tmp_path / "grid.osm")
    first = roads.prepare(package, extract, tmp_path)
    made = {path.name: path.stat().st_mtime_ns for path in first.parent.iterdir()}
    assert roads.prepare(package, extract, tmp_path) == first
    assert {path.name: path.stat().st_mtime_ns for path in first.parent.iterdir()} == made


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("city.zip", "x", "name a file that ends in .osm.pbf"),
        ("city.osm", "no roads here", "osrm-extract failed"),
    ],
)
def test_an_extract_that_cannot_be_used_is_refused_in_words(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(StackError, match=words):
        roads.prepare(roads.install(PROGRAMS), tmp_path / name, tmp_path / "data")
    with pytest.raises(StackError, match="name a file"):
        roads.prepare(roads.install(PROGRAMS), tmp_path / "missing.osm", tmp_path / "data")
