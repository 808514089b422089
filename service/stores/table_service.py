"""One request to OSRM's table service, bounded in time and size, its answer believed in nothing.

http://project-osrm.org/docs/v5.24.0/api/#table-service
"""

from __future__ import annotations

import json
import time
from typing import Final

import numpy as np
import urllib3
from urllib3.exceptions import HTTPError

from service.matching.travel import FloatArray

MOST_BYTES_PER_CELL: Final = 40
MOST_BYTES_PER_PLACE: Final = 2048
"""A place comes back with the name of its street."""
MOST_AT_ONCE: Final = 8
"""Connections that are kept."""


class BadAnswer(Exception):
    """No table: refused, late, too large, an error, or not what was asked for."""


class TableService:
    """The table service below a base URL. Safe to share between threads, not to fork."""

    def __init__(self, url: str) -> None:
        # Any name would do for the profile: the server has one, chosen when its data was prepared.
        self._url = f"{url.rstrip('/')}/table/v1/driving/"
        self._http = urllib3.PoolManager(maxsize=MOST_AT_ONCE, retries=False)

    def table(self, sources: FloatArray, targets: FloatArray, seconds: float) -> FloatArray:
        """Seconds and metres, each with a row per source and a column per target.

        NaN where there is no way. Places are rows of (latitude, longitude). Raises `BadAnswer`,
        after `seconds` at the latest if the server just keeps quiet.
        """
        cells = len(sources) * len(targets)
        places = len(sources) + len(targets)
        most = 4096 + 2 * cells * MOST_BYTES_PER_CELL + places * MOST_BYTES_PER_PLACE
        body = self._get(_query(sources, targets), seconds, most)
        try:
            answer = json.loads(body)
            if answer["code"] != "Ok":
                raise BadAnswer("no table")
            table = [_numbers(answer[name]) for name in ("durations", "distances")]
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise BadAnswer(f"not a table: {type(error).__name__}") from None
        if any(part.shape != (len(sources), len(targets)) for part in table):
            raise BadAnswer("a table of another shape")
        if any((part < 0).any() or np.isinf(part).any() for part in table):
            raise BadAnswer("numbers that make no sense")
        return np.stack(table)

    def _get(self, query: str, seconds: float, most: int) -> bytes:
        deadline = time.monotonic() + seconds
        try:
            response = self._http.request(
                "GET",
                self._url + query,
                timeout=urllib3.Timeout(total=seconds),
                redirect=False,
                preload_content=False,
            )
            try:
                if response.status != 200:
                    raise BadAnswer(f"answered {response.status}")
                body = bytearray()
                while part := response.read1(65536):
                    body += part
                    if len(body) > most:
                        raise BadAnswer("an answer too large")
                    if time.monotonic() > deadline:
                        raise BadAnswer("an answer too slow")
            except BaseException:
                response.close()
                raise
            response.release_conn()
            return bytes(body)
        except HTTPError as error:
            raise BadAnswer(type(error).__name__) from None


def _query(sources: FloatArray, targets: FloatArray) -> str:
    """Longitude first; sources and targets by their number among all places."""
    degrees = ";".join(f"{lon:.6f},{lat:.6f}" for lat, lon in (*sources, *targets))
    first = ";".join(map(str, range(len(sources))))
    last = ";".join(map(str, range(len(sources), len(sources) + len(targets))))
    wanted = "annotations=duration,distance&generate_hints=false"
    return f"{degrees}?sources={first}&destinations={last}&{wanted}"


def _numbers(rows: object) -> FloatArray:
    """A table of numbers; null becomes NaN. Text that looks like a number is not one."""
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise TypeError
    if not all(type(cell) in {int, float, type(None)} for row in rows for cell in row):
        raise TypeError
    return np.array(rows, dtype=np.float64)
