"""Manhattan's streets as OpenStreetMap data, from `../shared/data/manhattan_roads`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from service.matching.travel import FloatArray, GreatCircle
from service.model import Location

FOLDER: Final = Path(__file__).parents[3] / "shared" / "data" / "manhattan_roads"
LIGHT: Final = 1
"""Column of `seconds_by_hour.csv`: the hour of the fastest streets."""
DRIVEN: Final = 0.8
"""Share of a `maxspeed` that OSRM's car profile drives (its `speed_reduction`)."""
ABSENT: Final = f"no streets at {FOLDER}"


def nodes() -> list[Location]:
    """The crossings; edges name them by their number, counted from 1."""
    return [Location(float(lat), float(lon)) for _, lat, lon in _rows("points.csv")]


def fastest_ways(starts: Sequence[int], hour: int = LIGHT) -> FloatArray:
    """Seconds from each of these crossings (counted from 0) to every crossing."""
    ends = np.array([[int(a) - 1, int(b) - 1] for _, a, b in _rows("edges.csv")])
    seconds = [max(float(row[hour]), 0.1) for row in _rows("seconds_by_hour.csv")]
    size = len(nodes())
    graph = csr_array((seconds, (ends[:, 0], ends[:, 1])), (size, size))
    found: FloatArray = dijkstra(graph, indices=list(starts))
    return found


def write(path: Path, hour: int = LIGHT) -> Path:
    """Write the streets as OpenStreetMap XML: one way per edge, as fast as it is in this hour."""
    path.write_text("\n".join(_lines(hour)))
    return path


def _lines(hour: int) -> Iterator[str]:
    places = nodes()
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<osm version="0.6">'
    for number, at in enumerate(places, 1):
        place = f'lat="{at.latitude:.7f}" lon="{at.longitude:.7f}"'
        yield f'<node id="{number}" version="1" {place}/>'
    edges = zip(_rows("edges.csv"), _rows("seconds_by_hour.csv"), strict=True)
    for (number, start, end), seconds in edges:
        metres = GreatCircle().crow_metres(places[int(start) - 1], places[int(end) - 1])
        kmh = 3.6 * metres / max(float(seconds[hour]), 0.1)
        yield _way(number, start, end, min(max(kmh, 1.0), 120.0) / DRIVEN)
    yield "</osm>"


def _way(number: str, start: str, end: str, kmh: float) -> str:
    tags = f'<tag k="highway" v="residential"/><tag k="maxspeed" v="{kmh:.1f}"/>'
    tags += '<tag k="oneway" v="yes"/>'
    return f'<way id="{number}" version="1"><nd ref="{start}"/><nd ref="{end}"/>{tags}</way>'


def _rows(name: str) -> Iterator[list[str]]:
    with (FOLDER / name).open(newline="") as lines:
        yield from csv.reader(lines)
