"""Manhattan's streets as OpenStreetMap data, from `../shared/data/manhattan_roads`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from service.matching.travel import FloatArray, IntArray, crow_metres

FOLDER: Final = Path(__file__).parents[3] / "shared" / "data" / "manhattan_roads"
LIGHT, HEAVY = 1, 9
"""Columns of `seconds_by_hour.csv`, the hours of the fastest and slowest streets: 20.8 and 12.4
km/h over all edges."""
DRIVEN: Final = 0.8
"""Share of a `maxspeed` that OSRM's car profile drives (its `speed_reduction`)."""
ABSENT: Final = f"no streets at {FOLDER}"


@cache
def nodes() -> FloatArray:
    """Latitude and longitude of each crossing; everything counts crossings from 0."""
    return _columns("points.csv")[1:].T


@cache
def edges() -> IntArray:
    """The crossings at which the edges start, and those at which they end."""
    return _columns("edges.csv")[1:].astype(np.intp) - 1


def seconds(hour: int) -> FloatArray:
    """How long each edge takes in this hour."""
    return np.maximum(_columns("seconds_by_hour.csv")[hour], 0.1)


def graph(weights: FloatArray) -> csr_array:
    """The streets with a weight for each edge."""
    size = len(nodes())
    return csr_array((weights, tuple(edges())), (size, size))


def fastest_ways(starts: Sequence[int]) -> FloatArray:
    """Seconds from each of these crossings to every crossing."""
    found: FloatArray = dijkstra(graph(seconds(LIGHT)), indices=list(starts))
    return found


def write(path: Path, hour: int = LIGHT) -> Path:
    """Write the streets as OpenStreetMap XML: one way per edge, as fast as it is in this hour."""
    path.write_text("\n".join(_lines(hour)))
    return path


def _lines(hour: int) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<osm version="0.6">'
    for number, (latitude, longitude) in enumerate(nodes().tolist(), 1):
        place = f'lat="{latitude:.7f}" lon="{longitude:.7f}"'
        yield f'<node id="{number}" version="1" {place}/>'
    start, end = edges()
    speeds = 3.6 * crow_metres(nodes()[start], nodes()[end]) / seconds(hour)
    for number, way in enumerate(zip(start, end, speeds.clip(1.0, 120.0) / DRIVEN, strict=True), 1):
        yield _way(number, *way)
    yield "</osm>"


def _way(number: int, start: int, end: int, kmh: float) -> str:
    tags = f'<tag k="highway" v="residential"/><tag k="maxspeed" v="{kmh:.1f}"/>'
    tags += '<tag k="oneway" v="yes"/>'
    ends = f'<nd ref="{start + 1}"/><nd ref="{end + 1}"/>'
    return f'<way id="{number}" version="1">{ends}{tags}</way>'


def _columns(name: str) -> FloatArray:
    with (FOLDER / name).open(newline="") as lines:
        return np.array(list(csv.reader(lines)), dtype=np.float64).T
