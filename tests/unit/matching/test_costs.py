"""Nearest places, compared with measuring all distances."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.matching.costs import Neighbourhood
from service.matching.travel import FloatArray, crow_metres

degrees = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
some_places = st.lists(degrees, max_size=12).map(lambda rows: np.array(rows).reshape(-1, 2))


def distances(origins: FloatArray, places: FloatArray) -> FloatArray:
    repeated = np.repeat(origins, len(places), axis=0), np.tile(places, (len(origins), 1))
    return crow_metres(*repeated).reshape(len(origins), len(places))


@given(some_places, some_places, st.integers(1, 14), st.floats(1, 2e7))
def test_the_nearest_within_reach_are_found(
    origins: FloatArray, places: FloatArray, count: int, within: float
) -> None:
    rows, columns, more = Neighbourhood(places, within).nearest(origins, count)
    table = distances(origins, places)
    for row, nearest in enumerate(np.sort(table, axis=1)):
        expected = nearest[nearest <= within][:count]
        found = np.sort(table[row, columns[rows == row]])
        assert abs(len(found) - len(expected)) <= np.sum(np.abs(nearest - within) < 1)
        shared = min(len(found), len(expected))
        np.testing.assert_allclose(found[:shared], expected[:shared], atol=1)
        if not more[row]:
            assert len(found) >= np.sum(nearest <= within - 1)


def test_neighbours_are_found_across_the_date_line_and_the_pole() -> None:
    origins = np.array([[0.0, 179.999], [89.999, 0.0]])
    places = np.array([[0.0, 179.9], [0.0, -179.999], [89.9, 0.0], [89.999, 180.0]])
    rows, columns, more = Neighbourhood(places, 20_000).nearest(origins, 1)
    assert (rows.tolist(), columns.tolist(), more.all()) == ([0, 1], [1, 3], True)
