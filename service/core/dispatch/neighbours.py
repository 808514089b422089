"""The nearest places: of a city's worth of pairs, the few worth a travel-time estimate."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from service.core.dispatch.travel import EARTH_RADIUS_METRES, FloatArray

IntArray: TypeAlias = NDArray[np.intp]
BoolArray: TypeAlias = NDArray[np.bool_]


class Neighbourhood:
    """Places that can be asked for the ones nearest to others, straight line.

    A tree over points on the unit sphere, so that neither poles nor the date line are special.
    """

    def __init__(self, places: FloatArray, within_metres: float) -> None:
        self._tree = cKDTree(_on_sphere(places))
        angle = min(within_metres / EARTH_RADIUS_METRES, math.pi)
        self._chord = 2 * math.sin(angle / 2) * (1 + 1e-9)

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
            _on_sphere(origins), k=wanted, distance_upper_bound=self._chord
        )
        near = np.reshape(rows_found, (len(origins), wanted))
        found = near < known
        rows, ranks = np.nonzero(found)
        return rows, near[rows, ranks], found[:, -1] & (wanted < known)


def _on_sphere(places: FloatArray) -> FloatArray:
    latitude, longitude = np.radians(places).T
    shrink = np.cos(latitude)
    return np.stack(
        [shrink * np.cos(longitude), shrink * np.sin(longitude), np.sin(latitude)], axis=1
    )
