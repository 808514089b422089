"""A CSV file of unicorns, line by line; what is wrong with one line is no matter of the next."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import click

REQUIRED: Final = ("name", "color", "gender")
COLUMNS: Final = (
    *REQUIRED,
    "unicorn_id",
    "account_sub",
    "auto_accept",
    "latitude",
    "longitude",
)
_BOOLEANS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class GoodLine:
    """The fields of a line, as a body of `POST /v1/admin/unicorns` has them."""

    number: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is not what its file says."""

    number: int
    message: str


Line = GoodLine | BadLine


def count_lines(path: Path) -> int:
    """About how many unicorns there are: for the progress bar only."""
    with path.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def lines_of(path: Path) -> Iterator[Line]:
    """Raises `click.ClickException` if the first line does not name the columns."""
    # What is no UTF-8 becomes characters that no field takes.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = _reader(file)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadLine(reader.line_num, str(error))
            else:
                yield _line(reader.line_num, row)


def _reader(file: TextIO) -> csv.DictReader[str]:
    reader = csv.DictReader(file, strict=True)
    try:
        names = reader.fieldnames or ()
    except csv.Error as error:
        raise click.ClickException(f"line 1: {error}") from error
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) < len(names):
        raise click.ClickException(
            f"line 1: the columns must be of {', '.join(COLUMNS)}, each once, "
            f"{', '.join(REQUIRED)} among them"
        )
    return reader


def _line(number: int, row: dict[str | Any, str | Any]) -> Line:
    if None in row:
        return BadLine(number, "more fields than columns")
    fields: dict[str, Any] = {name: text for name, text in row.items() if text}
    if "auto_accept" in fields:
        text = fields["auto_accept"].lower()
        fields["auto_accept"] = _BOOLEANS.get(text, text)
    place = {name: fields.pop(name) for name in ("latitude", "longitude") if name in fields}
    if place:
        fields["location"] = {name: _number(text) for name, text in place.items()}
    return GoodLine(number, fields)


def _number(text: str) -> float | str:
    """Left as text, it is refused with its name."""
    try:
        return float(text)
    except ValueError:
        return text
