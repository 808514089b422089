"""`fleet import`: enrols the unicorns of a CSV file, which may be written by hand.

Each line is one unicorn. No value holds a line break, so an unclosed quote is a fault of its own
line only.
"""

from __future__ import annotations

import codecs
import csv
import re
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from service.api.staff_unicorns import NewUnicorn
from service.command.tools import Output, Tools, with_output, wrote
from service.core.ports import Ports
from service.core.staff import enroll
from service.model import Unicorn, UnicornState
from service.model.errors import AccountTaken, Unavailable, UnicornExists

REQUIRED: Final = ("name", "color", "gender")
COLUMNS: Final = (*REQUIRED, "unicorn_id", "account_sub", "auto_accept", "latitude", "longitude")
_BOOLEANS: Final = {"true": True, "false": False}
_DECIMAL: Final = re.compile(r"[+-]?\d{1,3}(\.\d{1,20})?", re.ASCII)
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


class BadLine(Exception):
    """A line that cannot be enrolled; the message says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line after the first, with the columns that the first line names."""

    number: int
    text: str
    columns: Sequence[str]


@click.group()
def fleet() -> None:
    """Manage the unicorns."""


@fleet.command(
    name="import",
    help=f"""Enroll the unicorns in FILE, a CSV file in UTF-8 whose first line names its columns.

    Columns: {", ".join(COLUMNS)}; all but the first three may be left out or empty. A line that
    cannot be enrolled is reported with its number; the others are enrolled, and the exit code is
    1. If each line has a unicorn_id, the file can be imported again: a line that equals the stored
    unicorn changes nothing, and a line that differs from it is reported.
    """,
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_output
def import_file(file: Path, output: Output) -> None:
    tools, counts, faults = Tools(), {True: 0, False: 0}, []
    lines = lines_of(file)
    try:
        for line in output.progress(lines, "lines", _count_lines(file)):
            try:
                counts[_is_enrolled(tools, line)] += 1
            except BadLine as error:
                faults.append({"line": line.number, "message": str(error)})
                click.echo(f"line {line.number}: {error}", err=True)
    except Unavailable as error:
        wrote("outcome unknown", changing=f"the unicorn of line {line.number}")
        raise click.ClickException(f"{error}; {counts[True]} enrolled before") from error
    output.show(
        {"enrolled": counts[True], "unchanged": counts[False], "faults": faults},
        f"{counts[True]} enrolled, {counts[False]} unchanged, {len(faults)} refused",
    )
    sys.exit(1 if faults else 0)


def lines_of(path: Path) -> Iterator[Line]:
    """The lines after the first that are not empty.

    Raises `click.ClickException` if the file is UTF-16 or its first line is wrong.
    """
    with path.open("rb") as file:
        head = file.read(64)
        if head.startswith(_UTF16_MARKS) or b"\0" in head:
            raise click.ClickException("the file is UTF-16: save it as CSV in UTF-8")
    # A byte that is not UTF-8 becomes a surrogate, so that its line can be reported.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as text:
        columns = _columns(text.readline().rstrip("\n"))
        for number, line in enumerate(text, start=2):
            if line.strip(", \t\r\n"):
                yield Line(number, line.rstrip("\n"), columns)


def _count_lines(path: Path) -> int:
    """The approximate number of unicorns, for the progress bar."""
    with path.open("rb") as file:
        return max(0, sum(1 for _ in file) - 1)


def _columns(first: str) -> Sequence[str]:
    """The names in the first line. Raises `click.ClickException` if one is wrong or missing."""
    try:
        names = _cells(first)
    except BadLine as error:
        raise click.ClickException(f"line 1: {error}") from error
    faults = [*_separator_faults(names), *_name_faults(names)]
    if faults:
        raise click.ClickException(
            f"line 1: {faults[0]}. Allowed columns, separated by commas: {', '.join(COLUMNS)}"
        )
    return names


def _separator_faults(names: Sequence[str]) -> Iterator[str]:
    for separator, called in _SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            yield f"the columns are separated by {called}"


def _name_faults(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name not in COLUMNS:
            exists = name.lower() in COLUMNS
            yield f"there is no column {name!r}" + (f", write {name.lower()!r}" if exists else "")
        if names.count(name) > 1:
            yield f"the column {name!r} occurs twice"
    for name in REQUIRED:
        if name not in names:
            yield f"the column {name!r} is missing, found {', '.join(map(repr, names))}"


def _cells(line: str) -> list[str]:
    if line.count('"') % 2:
        raise BadLine("a quote on this line has no partner")
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error as error:
        raise BadLine(str(error)) from error


def _is_enrolled(tools: Tools, line: Line) -> bool:
    """Enroll the unicorn of a line; False if it is already stored. Raises `BadLine`."""
    new = _new_unicorn(_fields(line))
    at = new.location.location() if new.location else None
    try:
        unicorn = new.unicorn(str(uuid.uuid4()))
        enroll(tools.ports, unicorn, at, tools.now())
    except (UnicornExists, AccountTaken) as error:
        _require_same(tools.ports, new, error)
        return False
    wrote("unicorn enrolled", unicorn_id=unicorn.unicorn_id)
    return True


def _fields(line: Line) -> dict[str, Any]:
    """The fields of a line, in the form of a body of `POST /v1/admin/unicorns`."""
    if any("\udc80" <= character <= "\udcff" for character in line.text):
        raise BadLine("this line is not UTF-8: save the file as CSV in UTF-8")
    cells = _cells(line.text)
    if len(cells) > len(line.columns):
        raise BadLine(f"{len(cells)} fields for {len(line.columns)} columns")
    fields: dict[str, Any] = {
        name: cell for name, cell in zip(line.columns, cells, strict=False) if cell
    }
    if "auto_accept" in fields:
        text = fields["auto_accept"]
        fields["auto_accept"] = _BOOLEANS.get(text.lower(), text)
    place = {name: fields.pop(name) for name in ("latitude", "longitude") if name in fields}
    if place:
        fields["location"] = {name: _number(text) for name, text in place.items()}
    return fields


def _number(text: str) -> float | str:
    """The number in a text; any other text is returned as it is. `NewUnicorn` refuses that text.

    `float` alone would also accept `4_0.7`, `nan` and digits of other scripts.
    """
    return float(text) if _DECIMAL.fullmatch(text) else text


def _new_unicorn(fields: Mapping[str, Any]) -> NewUnicorn:
    try:
        return NewUnicorn.model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        found = "" if fault["type"] == "missing" else f", found {str(fault['input'])[:80]!r}"
        raise BadLine(f"{fault['loc'][-1]}: {fault['msg']}{found}") from error


def _require_same(ports: Ports, new: NewUnicorn, refusal: Exception) -> None:
    """Raise `BadLine` unless the stored unicorn equals that of the line."""
    stored_id = new.unicorn_id
    if isinstance(refusal, AccountTaken) and new.account_sub:
        stored_id = ports.unicorns.of_account(new.account_sub)
    stored = ports.unicorns.get(stored_id) if stored_id else None
    if stored is None:
        raise BadLine(str(refusal)) from refusal
    contradictions = _contradictions(new, stored)
    if contradictions:
        raise BadLine(f"unicorn {stored.unicorn_id!r} {', '.join(contradictions)}") from refusal


def _contradictions(new: NewUnicorn, stored: Unicorn) -> list[str]:
    """The differences between line and stored unicorn. Places are not compared: unicorns move."""
    if stored.state is UnicornState.REMOVED:
        return ["was removed, and its id is never used again"]
    fields = new.model_dump(exclude_unset=True, exclude={"location"})
    return [
        f"has {name} {getattr(stored, name)!r}, this line says {value!r}"
        for name, value in fields.items()
        if getattr(stored, name) != value
    ]
