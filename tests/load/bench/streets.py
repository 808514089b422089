"""Travel times on Manhattan's streets: shortest paths over one-way edges, by hour of the day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from service.matching.travel import (
    FloatArray,
    GreatCircle,
    IntArray,
    crow_metres,
    on_sphere,
    places,
)
from service.model import Location
from tests.load.bench.nyc import NycTrip
from tests.support import manhattan

NEAR_METRES = 200.0
"""A trip belongs to this world if both of its ends are within this distance of a node."""


@dataclass(frozen=True)
class Streets:
    """`TravelTimes` of the real streets: seconds and metres of the fastest way."""

    nodes: FloatArray
    seconds: FloatArray
    metres: FloatArray
    before: IntArray
    """The last crossing before the end of each way; negative at its beginning."""

    def nearest(self, ends: FloatArray) -> tuple[IntArray, FloatArray]:
        """The node nearest to each place, and its distance in metres."""
        rows = _nearest_nodes(ends)
        return rows, crow_metres(ends, self.nodes[rows])

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        start, end = _nearest_nodes(origins), _nearest_nodes(destinations)
        return (
            self.seconds[start, end].astype(np.float64),
            self.metres[start, end].astype(np.float64),
        )

    def way(self, origin: Location, destination: Location) -> Sequence[tuple[float, Location]]:
        """The crossings of the fastest way, and the seconds until it passes each."""
        start, end = _nearest_nodes(places([origin, destination])).tolist()
        nodes = [end]
        while (previous := int(self.before[start, nodes[-1]])) >= 0:
            nodes.append(previous)
        return [
            (float(self.seconds[start, node]), Location(*self.nodes[node].tolist()))
            for node in reversed(nodes)
        ]

    def reach_metres(self, seconds: float) -> float:
        # Twice the straight-line world's speed: nothing that could be reached is left out.
        return GreatCircle(detour=1.0, speed_kmh=50.0).reach_metres(seconds)


@cache
def streets(hour: int) -> Streets:
    """The fastest ways of an hour, between all pairs of nodes (a few seconds of CPU)."""
    nodes = manhattan.nodes()
    start, end = manhattan.edges()
    times, before = dijkstra(manhattan.graph(manhattan.seconds(hour)), return_predecessors=True)
    times = np.where(np.isfinite(times), times, 1e5).astype(np.float32)
    lengths = manhattan.graph(crow_metres(nodes[start], nodes[end]))
    return Streets(nodes, times, _lengths(lengths, times, before), before.astype(np.int32))


def _lengths(edges: csr_array, times: FloatArray, before: IntArray) -> FloatArray:
    """The metres of the fastest ways: those to the node before the end, plus the last edge."""
    size = len(times)
    last = np.asarray(edges.todense(), dtype=np.float32)
    metres = np.zeros((size, size), np.float32)
    rows = np.arange(size)
    for order in np.argsort(times, axis=1).T:
        previous = before[rows, order]
        known = previous >= 0
        at = rows[known], order[known]
        metres[at] = metres[rows[known], previous[known]] + last[previous[known], order[known]]
    return metres


def trips_on(world: Streets, trips: Sequence[NycTrip]) -> Sequence[NycTrip]:
    """The trips whose both ends lie on these streets."""
    ends = [
        world.nearest(np.array([[at.latitude, at.longitude] for at in side]))[1] <= NEAR_METRES
        for side in ([trip.pickup for trip in trips], [trip.dropoff for trip in trips])
    ]
    return [trip for trip, near in zip(trips, ends[0] & ends[1], strict=True) if near]


@cache
def _tree() -> KDTree:
    return KDTree(on_sphere(manhattan.nodes()))


_KNOWN: dict[complex, int] = {}
"""The row of the nearest node of each place, because a round asks for many pairs of few places
again and again. Places are complex numbers, which the garbage collector does not scan."""


def _nearest_nodes(ends: FloatArray) -> IntArray:
    asked = (ends[:, 0] + 1j * ends[:, 1]).tolist()
    found = list(map(_KNOWN.get, asked))
    if None in found:
        new = list({place for place in asked if place not in _KNOWN})
        rows = np.array([(place.real, place.imag) for place in new])
        _KNOWN.update(zip(new, _tree().query(on_sphere(rows))[1].tolist(), strict=True))
        found = list(map(_KNOWN.get, asked))
    return np.array(found, dtype=np.intp)
