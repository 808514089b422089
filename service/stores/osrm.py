"""A routing engine's table service over HTTP.

The protocol is OSRM's: http://project-osrm.org/docs/v5.24.0/api/#table-service
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Final

import numpy as np

from service.matching.travel import FloatArray
from service.outbound import Outbound, RequestFailed

MOST_BYTES_PER_CELL: Final = 40
MOST_BYTES_PER_PLACE: Final = 2048
"""The most bytes per place in an answer, which repeats each place with the name of its street."""
MOST_AT_ONCE: Final = 8
"""The most connections that are kept open."""
_ERROR_BYTES: Final = 4096


class BadAnswer(Exception):
    """The engine returned no usable table."""


class TableService:
    """The table service below a base URL. Threads may share it; forked processes may not."""

    def __init__(self, url: str) -> None:
        # Any name of a profile is accepted: the server has one, chosen when its data was prepared.
        self._url = f"{url.rstrip('/')}/table/v1/driving/"
        self._outbound = Outbound(connections=MOST_AT_ONCE)

    def table(self, sources: FloatArray, targets: FloatArray, seconds: float) -> FloatArray:
        """Seconds and metres between the roads nearest to these places, and the distances to those
        roads.

        Three tables with a row per source and a column per target; NaN where there is no way. The
        third table holds the sum of the straight-line metres from both places to their roads.
        Places are rows of (latitude, longitude). Raises `BadAnswer`, after
        `seconds` at the latest.
        """
        cells = len(sources) * len(targets)
        places = len(sources) + len(targets)
        most = _ERROR_BYTES + 2 * cells * MOST_BYTES_PER_CELL + places * MOST_BYTES_PER_PLACE
        status, body = self._get(_query(sources, targets), seconds, most)
        if status != 200:
            raise BadAnswer(f"answered {status}")
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
            raise BadAnswer("impossible numbers")
        return np.stack(table)

    def answers(self, seconds: float) -> bool:
        """Whether a routing engine answers within `seconds`. One remote call.

        A table is an answer, and so is the engine's reason for giving none.
        """
        query = _query(np.zeros((1, 2)), np.zeros((1, 2)))
        try:
            status, body = self._get(query, seconds, _ERROR_BYTES)
            return status in {200, 400} and isinstance(json.loads(body)["code"], str)
        except (BadAnswer, ValueError, TypeError, KeyError, RecursionError):
            return False

    def _get(self, query: str, seconds: float, most: int) -> tuple[int, bytes]:
        url = self._url + query
        try:
            return self._outbound.request("GET", url, seconds=seconds, most_bytes=most)
        except RequestFailed as error:
            raise BadAnswer(str(error)) from None


def _query(sources: FloatArray, targets: FloatArray) -> str:
    """The path and query of a table: longitude first; sources and targets by index of place."""
    degrees = ";".join(f"{lon:.6f},{lat:.6f}" for lat, lon in (*sources, *targets))
    first = ";".join(map(str, range(len(sources))))
    last = ";".join(map(str, range(len(sources), len(sources) + len(targets))))
    wanted = "annotations=duration,distance&generate_hints=false"
    return f"{degrees}?sources={first}&destinations={last}&{wanted}"


def _gaps(waypoints: object) -> FloatArray:
    """The metres from each place to the road to which the server moved it."""
    if not isinstance(waypoints, list):
        raise TypeError
    return _numbers([[waypoint["distance"] for waypoint in waypoints]]).ravel()


def _numbers(rows: object) -> FloatArray:
    """A table of numbers; null becomes NaN. Text that looks like a number is not one."""
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise TypeError
    if not set(map(type, chain.from_iterable(rows))) <= {int, float, type(None)}:
        raise TypeError
    return np.array(rows, dtype=np.float64)
