"""A small city of one-way rows and two-way columns, as OpenStreetMap data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from service.model import Location

ROWS: Final = 30
"""And as many columns; even rows are driven westwards only, odd rows eastwards only."""
STEP: Final = 0.0009
"""Degrees of latitude from row to row, 100 m; columns are as far apart."""
SOUTH, WEST = 40.70, -74.02
WEST_TO_EAST: Final = 1.32


def corner(row: int, column: int) -> Location:
    """Where a row crosses a column."""
    return Location(SOUTH + row * STEP, WEST + column * STEP * WEST_TO_EAST)


def write(path: Path) -> Path:
    """Write the city as OpenStreetMap XML."""
    path.write_text("\n".join(_lines()))
    return path


def _lines() -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<osm version="0.6">'
    for row in range(ROWS):
        for column in range(ROWS):
            at = corner(row, column)
            place = f'lat="{at.latitude:.6f}" lon="{at.longitude:.6f}"'
            yield f'<node id="{_number(row, column)}" version="1" {place}/>'
    for row in range(ROWS):
        columns = range(ROWS) if row % 2 else range(ROWS)[::-1]
        yield _way(row + 1, [_number(row, column) for column in columns], one_way=True)
    for column in range(ROWS):
        yield _way(ROWS + column + 1, [_number(row, column) for row in range(ROWS)], one_way=False)
    yield "</osm>"


def _way(number: int, nodes: Sequence[int], *, one_way: bool) -> str:
    references = "".join(f'<nd ref="{node}"/>' for node in nodes)
    tags = '<tag k="highway" v="residential"/>' + ('<tag k="oneway" v="yes"/>' if one_way else "")
    return f'<way id="{number}" version="1">{references}{tags}</way>'


def _number(row: int, column: int) -> int:
    return row * ROWS + column + 1
