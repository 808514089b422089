"""The nearest places: of a city's worth of pairs, the few worth a travel-time estimate."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from service.matching.travel import (
    BoolArray,
    FloatArray,
    IntArray,
    chord,
    on_sphere,
)


class Neighbourhood:
    """Places that can be asked for the ones nearest to others, straight line.

    A tree over points on the unit sphere, so that neither poles nor the date line are special.
    """

    def __init__(self, places: FloatArray, within_metres: float) -> None:
        self._tree = cKDTree(on_sphere(places))
        self._chord = chord(within_metres) * (1 + 1e-9)

    def nearest(self, origins: FloatArray, count: int) -> tuple[IntArray, IntArray, BoolArray]:
        """Pairs of (row of origins, row of places), at most `count` for each origin.

        And for each origin whether more places may lie within the distance.
        """
        known = self._tree.n
        wanted = min(count, known)
        if not wanted:
            nothing = np.empty(0, dtype=np.intp)
            return nothing, nothing, np.zeros(len(origins), dtype=np.bool_)
        _, rows_found = self._tree.query(
            on_sphere(origins), k=wanted, distance_upper_bound=self._chord
        )
        near = np.reshape(rows_found, (len(origins), wanted))
        found = near < known
        rows, ranks = np.nonzero(found)
        return rows, near[rows, ranks], found[:, -1] & (wanted < known)
