"""Travel times from a routing engine's table service, for as long as it answers well.

The protocol is OSRM's: http://project-osrm.org/docs/v5.24.0/api/#table-service
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from service.matching.travel import FloatArray, IntArray, TravelTimes
from service.stores.table_service import BadAnswer, TableService

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 5.0
"""How long a service that failed is left alone: rounds must not wait for it again and again."""


class RoutedTimes:
    """`TravelTimes` of a table service; `otherwise` where it does not say, or not in time.

    `budget_seconds` is what one `estimate` may spend on asking: whatever is not answered by then
    is estimated otherwise. Nothing is asked after half of it, so that a question that comes late
    for want of time does not pass for a failure. `most_places` is the server's `--max-table-size`.
    """

    def __init__(
        self,
        service: TableService,
        otherwise: TravelTimes,
        *,
        budget_seconds: float,
        most_places: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._otherwise = otherwise
        self._budget = budget_seconds
        self._most_places = most_places
        self._monotonic = monotonic
        self._paused_until = 0.0

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        seconds, metres = self._otherwise.estimate(origins, destinations)
        deadline = self._monotonic() + self._budget
        for rows in _chunks(origins, destinations, self._most_places):
            now = self._monotonic()
            left = deadline - now
            if now < self._paused_until or left < self._budget / 2:
                break
            try:
                told = self._ask(origins[rows], destinations[rows], left)
            except BadAnswer as error:
                self._paused_until = self._monotonic() + PAUSE_SECONDS
                logger.warning("travel times are estimated", extra={"cause": str(error)})
                break
            is_told = np.isfinite(told).all(axis=0)
            seconds[rows[is_told]], metres[rows[is_told]] = told[:, is_told]
        return seconds, metres

    def reach_metres(self, seconds: float) -> float:
        return self._otherwise.reach_metres(seconds)

    def _ask(self, origins: FloatArray, destinations: FloatArray, seconds: float) -> FloatArray:
        """Seconds and metres of these pairs, NaN where there is no way; each place is sent once."""
        sources, source_of = np.unique(origins, axis=0, return_inverse=True)
        targets, target_of = np.unique(destinations, axis=0, return_inverse=True)
        table = self._service.table(sources, targets, seconds)
        return table[:, source_of.ravel(), target_of.ravel()]


def _chunks(origins: FloatArray, destinations: FloatArray, most_places: int) -> Iterator[IntArray]:
    """Rows of pairs that have at most so many places together, those of one destination side by
    side: the pairs of a chunk are a part of its table, and asking for the rest is waste."""
    chunk: list[int] = []
    places: set[tuple[str, float, float]] = set()
    for row in np.lexsort((*origins.T, *destinations.T)):
        pair = {("from", *origins[row]), ("to", *destinations[row])}
        if len(places | pair) > most_places:
            yield np.array(chunk)
            chunk, places = [], set()
        chunk.append(int(row))
        places |= pair
    if chunk:
        yield np.array(chunk)
