"""Travel times of a routing engine, with a fallback while it does not answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np

from service.breaker import Breaker
from service.matching.travel import BoolArray, FloatArray, IntArray, TravelTimes
from service.observability.instruments import ROUTING_FAILURES
from service.stores.osrm import BadAnswer, TableService

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 5.0
"""Time without calls to the engine after it failed, so that rounds do not wait for it each time."""
STRANGE_PAIRS: Final = 10
"""If this many pairs in a row have no route, the engine's map is of another city."""
REMEMBERED_SECONDS: Final = 300.0
"""The greatest age of the younger half of the memory, in seconds. It may be long, because the
engine's answers change only when it starts with other roads or speeds. Each round needs the answer
for every trip under way again, and finds it in the memory."""
MOST_REMEMBERED: Final = 50_000
"""Pairs in each half of the memory; about 10 MB."""
MOST_CELLS_PER_PAIR: Final = 32
"""The most cells of a table for each pair that is wanted. All cells are computed and read: a table
of 100 scattered drives has 10,000."""
UNKNOWN: Final = [np.nan, np.nan]
NO_DRIVE: Final = [0.0, 0.0]
"""The seconds and metres from a place to itself."""
_Pair: TypeAlias = tuple[complex, complex]

FARTHEST_ROAD_METRES: Final = 500.0
"""A place with no road within this distance is outside the engine's map: a river, the sea."""


class _Memory:
    """Remembers the engine's answers for five to ten minutes, because further rounds need them.

    The memory has two halves. When the younger half is five minutes old or full, it becomes the
    older half.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._younger: dict[_Pair, list[float]] = {}
        self._older = self._younger
        self._since = monotonic()

    def get(self, pair: _Pair) -> list[float] | None:
        return self._younger.get(pair) or self._older.get(pair)

    def __setitem__(self, pair: _Pair, answer: list[float]) -> None:
        self._younger[pair] = answer

    def age(self) -> None:
        """Forget answers that are too old."""
        is_old = self._monotonic() - self._since >= REMEMBERED_SECONDS
        if is_old or len(self._younger) > MOST_REMEMBERED:
            self._older, self._younger, self._since = self._younger, {}, self._monotonic()


class RoutedTimes:
    """`TravelTimes` of a table service; `otherwise` where it gives no answer in time.

    `budget_seconds`: the time that one `estimate`, or one round, may spend on calls. Pairs without
    an answer by then are estimated by `otherwise`. No call starts after half of the budget, because
    its time-out would then count as a failure of the server. `most_places` is the server's
    `--max-table-size`. Answers are remembered for five to ten minutes, so a round asks only about
    new pairs.
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
        self.budget_seconds = budget_seconds
        self._most_places = most_places
        self._monotonic = monotonic
        self._breaker = Breaker(PAUSE_SECONDS, monotonic)
        self._memory = _Memory(monotonic)
        self._strange = 0

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        seconds, metres, _ = self.estimate_within(self.budget_seconds, origins, destinations)
        return seconds, metres

    def for_a_round(self) -> TravelTimes:
        """The same times for one round, whose calls share one budget."""
        return _RoundTimes(self)

    def estimate_within(
        self, budget: float, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray, float]:
        """As `estimate`; also returns the seconds that are left of the budget."""
        deadline = self._monotonic() + budget
        self._memory.age()
        pairs = list(zip(_points(origins), _points(destinations), strict=True))
        answers = [NO_DRIVE if pair[0] == pair[1] else self._memory.get(pair) for pair in pairs]
        missing = np.flatnonzero([answer is None for answer in answers])
        for rows, table in self._answers(origins, destinations, missing, deadline):
            for row, answer in zip(rows.tolist(), table.T.tolist(), strict=True):
                answers[row] = self._memory[pairs[row]] = answer
        answered = np.array([answer or UNKNOWN for answer in answers]).reshape(-1, 2).T
        estimated = self._otherwise.estimate(origins, destinations)
        seconds, metres = np.where(np.isfinite(answered).all(axis=0), answered, estimated)
        return seconds, metres, deadline - self._monotonic()

    def knows_the_city(self) -> bool:
        """False if the engine found no way for the last `STRANGE_PAIRS` pairs."""
        return self._strange < STRANGE_PAIRS

    def reach_metres(self, seconds: float) -> float:
        return self._otherwise.reach_metres(seconds)

    def _answers(
        self, origins: FloatArray, destinations: FloatArray, missing: IntArray, deadline: float
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        """Rows of pairs with the service's answers, as many as arrive in time."""
        for chunk in _chunks(origins[missing], destinations[missing], self._most_places):
            rows, left = missing[chunk], deadline - self._monotonic()
            if self._breaker.is_open or left < self.budget_seconds / 2:
                return
            try:
                table = self._ask(origins[rows], destinations[rows], left)
            except BadAnswer as error:
                self._breaker.trip()
                ROUTING_FAILURES.labels("no_answer").inc()
                logger.warning("travel times are estimated", extra={"cause": str(error)})
                return
            self._note_roads(np.isfinite(table[0]) & np.isfinite(table[1]))
            yield rows, table

    def _note_roads(self, has_way: BoolArray) -> None:
        """Count pairs in a row without a way. One such pair may be a wrong position; many mean a
        wrong map.
        """
        if has_way.any():
            self._strange = 0
        else:
            self._strange += len(has_way)
            ROUTING_FAILURES.labels("no_road").inc()

    def _ask(self, origins: FloatArray, destinations: FloatArray, seconds: float) -> FloatArray:
        """Seconds and metres of these pairs, NaN if there is no way; each place is sent once.

        The engine routes from road to road. The way between place and road is added, so that a
        pickup off the road is never 0 seconds away.
        """
        sources, source_of = _distinct(origins)
        targets, target_of = _distinct(destinations)
        table = self._service.table(sources, targets, seconds)
        took, metres, gaps = table[:, source_of, target_of]
        gaps[gaps > FARTHEST_ROAD_METRES] = np.nan
        return np.stack([took + gaps / self._otherwise.reach_metres(1), metres + gaps])


class _RoundTimes:
    """`RoutedTimes` for one round, whose calls share one budget."""

    def __init__(self, times: RoutedTimes) -> None:
        self._times = times
        self._left = times.budget_seconds

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        within = self._times.estimate_within(self._left, origins, destinations)
        seconds, metres, self._left = within
        return seconds, metres

    def reach_metres(self, seconds: float) -> float:
        return self._times.reach_metres(seconds)


def _points(places: FloatArray) -> list[complex]:
    """Each place as one complex number, which is faster to compare and to look up than a row."""
    points: list[complex] = (places[:, 0] + 1j * places[:, 1]).tolist()
    return points


def _distinct(places: FloatArray) -> tuple[FloatArray, IntArray]:
    """The distinct places, and for each row the index of its place."""
    points, number = np.unique(places[:, 0] + 1j * places[:, 1], return_inverse=True)
    return np.stack([points.real, points.imag], axis=1), number.ravel()


def _chunks(origins: FloatArray, destinations: FloatArray, most_places: int) -> Iterator[IntArray]:
    """Split pairs into chunks, one for each table.

    A table has at most `most_places` places, and `MOST_CELLS_PER_PAIR` cells for each of its pairs.
    Pairs of one destination stay together, because a table has all pairs of its places: a table of
    scattered pairs would be answers that nobody needs.
    """
    chunk: list[int] = []
    sources: set[complex] = set()
    targets: set[complex] = set()
    starts, ends = _points(origins), _points(destinations)
    for row in np.lexsort((*origins.T, *destinations.T)).tolist():
        rows = len(sources) + (starts[row] not in sources)
        columns = len(targets) + (ends[row] not in targets)
        if rows + columns > most_places or rows * columns > MOST_CELLS_PER_PAIR * (len(chunk) + 1):
            yield np.array(chunk)
            chunk, sources, targets = [], set(), set()
        chunk.append(row)
        sources.add(starts[row])
        targets.add(ends[row])
    if chunk:
        yield np.array(chunk)
