"""Travel times from a routing engine's table service, for as long as it answers well.

The protocol is OSRM's: http://project-osrm.org/docs/v5.24.0/api/#table-service
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from service.breaker import Breaker
from service.matching.travel import FloatArray, IntArray, TravelTimes
from service.outbound import Outbound, RequestFailed

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 5.0
"""How long a service that failed is left alone: rounds must not wait for it again and again."""
MOST_BYTES_PER_CELL: Final = 40
MOST_BYTES_PER_PLACE: Final = 2048
"""A place comes back with the name of its street."""
MOST_AT_ONCE: Final = 8
"""Connections that are kept."""
_ERROR_BYTES: Final = 4096

FARTHEST_ROAD_METRES: Final = 500.0
"""A place with no road so near is not in the engine's city: a river, the sea, another continent."""


class RoutedTimes:
    """`TravelTimes` of a table service; `otherwise` where it does not say, or not in time.

    `budget_seconds` is what one `estimate`, or one round, may spend on asking: whatever is not
    answered by then is estimated otherwise. Nothing is asked after half of it, so that a question
    that comes late for want of time does not pass for a failure. `most_places` is the server's
    `--max-table-size`.
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

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        seconds, metres, _ = self.estimate_within(self.budget_seconds, origins, destinations)
        return seconds, metres

    def for_a_round(self) -> TravelTimes:
        """The same, asked about each pair once, within one budget for all that is asked."""
        return _RoundTimes(self)

    def estimate_within(
        self, budget: float, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray, float]:
        """`estimate`, and what is then left of this budget (seconds)."""
        seconds, metres = self._otherwise.estimate(origins, destinations)
        deadline = self._monotonic() + budget
        for rows in _chunks(origins, destinations, self._most_places):
            left = deadline - self._monotonic()
            if self._breaker.is_open or left < self.budget_seconds / 2:
                break
            try:
                told = self._ask(origins[rows], destinations[rows], left)
            except BadAnswer as error:
                self._breaker.trip()
                logger.warning("travel times are estimated", extra={"cause": str(error)})
                break
            is_told = np.isfinite(told).all(axis=0)
            seconds[rows[is_told]], metres[rows[is_told]] = told[:, is_told]
        return seconds, metres, deadline - self._monotonic()

    def reach_metres(self, seconds: float) -> float:
        return self._otherwise.reach_metres(seconds)

    def _ask(self, origins: FloatArray, destinations: FloatArray, seconds: float) -> FloatArray:
        """Seconds and metres of these pairs, NaN where there is no way; each place is sent once.

        The engine drives from road to road. The gaps between places and roads are added, so that a
        pickup off the road is never 0 seconds away.
        """
        sources, source_of = np.unique(origins, axis=0, return_inverse=True)
        targets, target_of = np.unique(destinations, axis=0, return_inverse=True)
        table = self._service.table(sources, targets, seconds)
        took, metres, gaps = table[:, source_of.ravel(), target_of.ravel()]
        gaps[gaps > FARTHEST_ROAD_METRES] = np.nan
        return np.stack([took + gaps / self._otherwise.reach_metres(1), metres + gaps])


class _RoundTimes:
    """`RoutedTimes` as one round uses them: what was asked is remembered, and the budget shrinks.

    A round asks about the same pairs again: it looks at more unicorns for some riders, or asks for
    those that missed an offer.
    """

    def __init__(self, times: RoutedTimes) -> None:
        self._times = times
        self._left = times.budget_seconds
        self._known = dict[tuple[float, ...], list[float]]()

    def estimate(
        self, origins: FloatArray, destinations: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        pairs = list(map(tuple, np.hstack([origins, destinations]).tolist()))
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        if new:
            asked = np.array(new)
            *told, self._left = self._times.estimate_within(self._left, asked[:, :2], asked[:, 2:])
            self._known.update(zip(new, np.transpose(told).tolist(), strict=True))
        seconds, metres = np.array([self._known[pair] for pair in pairs]).reshape(-1, 2).T
        return seconds, metres

    def reach_metres(self, seconds: float) -> float:
        return self._times.reach_metres(seconds)


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


class BadAnswer(Exception):
    """No table: refused, late, too large, an error, or not what was asked for."""


class TableService:
    """The table service below a base URL. Safe to share between threads, not to fork."""

    def __init__(self, url: str) -> None:
        # Any name would do for the profile: the server has one, chosen when its data was prepared.
        self._url = f"{url.rstrip('/')}/table/v1/driving/"
        self._outbound = Outbound(connections=MOST_AT_ONCE)

    def table(self, sources: FloatArray, targets: FloatArray, seconds: float) -> FloatArray:
        """Seconds and metres between the roads next to these places, and how far those roads are.

        Three tables with a row per source and a column per target; NaN where there is no way. The
        third holds the straight metres from both places to their roads together. Places are rows of
        (latitude, longitude). Raises `BadAnswer`, after `seconds` at the latest if the server just
        keeps quiet.
        """
        cells = len(sources) * len(targets)
        places = len(sources) + len(targets)
        most = _ERROR_BYTES + 2 * cells * MOST_BYTES_PER_CELL + places * MOST_BYTES_PER_PLACE
        body = self._get(_query(sources, targets), seconds, most)
        try:
            answer = json.loads(body)
            if answer["code"] != "Ok":
                raise BadAnswer("no table")
            table = [_numbers(answer[name]) for name in ("durations", "distances")]
            table.append(np.add.outer(_gaps(answer["sources"]), _gaps(answer["destinations"])))
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise BadAnswer(f"not a table: {type(error).__name__}") from None
        if any(part.shape != (len(sources), len(targets)) for part in table):
            raise BadAnswer("a table of another shape")
        if any((part < 0).any() or np.isinf(part).any() for part in table):
            raise BadAnswer("numbers that make no sense")
        return np.stack(table)

    def answers(self, seconds: float) -> bool:
        """Whether anybody is there: what it says of two places in the sea is no matter."""
        query = _query(np.zeros((1, 2)), np.zeros((1, 2)))
        try:
            status, _ = self._outbound.request(
                "GET", self._url + query, seconds=seconds, most_bytes=_ERROR_BYTES
            )
        except RequestFailed:
            return False
        return status < 500

    def _get(self, query: str, seconds: float, most: int) -> bytes:
        try:
            status, body = self._outbound.request(
                "GET", self._url + query, seconds=seconds, most_bytes=most
            )
        except RequestFailed as error:
            raise BadAnswer(str(error)) from None
        if status != 200:
            raise BadAnswer(f"answered {status}")
        return body


def _query(sources: FloatArray, targets: FloatArray) -> str:
    """Longitude first; sources and targets by their number among all places."""
    degrees = ";".join(f"{lon:.6f},{lat:.6f}" for lat, lon in (*sources, *targets))
    first = ";".join(map(str, range(len(sources))))
    last = ";".join(map(str, range(len(sources), len(sources) + len(targets))))
    wanted = "annotations=duration,distance&generate_hints=false"
    return f"{degrees}?sources={first}&destinations={last}&{wanted}"


def _gaps(waypoints: object) -> FloatArray:
    """Metres from each place to the road it was moved to."""
    if not isinstance(waypoints, list):
        raise TypeError
    return _numbers([[waypoint["distance"] for waypoint in waypoints]]).ravel()


def _numbers(rows: object) -> FloatArray:
    """A table of numbers; null becomes NaN. Text that looks like a number is not one."""
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise TypeError
    if not all(type(cell) in {int, float, type(None)} for row in rows for cell in row):
        raise TypeError
    return np.array(rows, dtype=np.float64)
