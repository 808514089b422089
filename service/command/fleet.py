"""`fleet`: enrol many unicorns at once."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

import click
from pydantic import ValidationError

from service.api.staff_unicorns import NewUnicorn
from service.command.lines import COLUMNS, BadLine, Line, count_lines, lines_of
from service.command.tools import Output, Tools, now, with_output
from service.core.staff import enroll
from service.model.errors import AccountTaken, Unavailable, UnicornExists

REFUSED = (AccountTaken, UnicornExists)


@click.group()
def fleet() -> None:
    """The unicorns."""


@fleet.command(
    name="import",
    help=f"""Enrol the unicorns in FILE, a CSV file in UTF-8 whose first line names its columns.

    Columns: {", ".join(COLUMNS)}; all but the first three may be left out or empty. A line that
    cannot be enrolled is reported with its number, the others are enrolled, and the exit code is
    1. Give each a unicorn_id and the file may be imported again: who is there stays as it is.
    """,
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_output
def import_file(file: Path, output: Output) -> None:
    tools, enrolled, faults = Tools(), 0, []
    try:
        for line in output.progress(lines_of(file), "lines", count_lines(file)):
            fault = _enroll(tools, line)
            if fault:
                faults.append(fault)
                click.echo(f"line {fault['line']}: {fault['message']}", err=True)
            else:
                enrolled += 1
    except Unavailable as error:
        raise click.ClickException(f"{error}; {enrolled} enrolled before") from error
    output.show({"enrolled": enrolled, "faults": faults}, f"{enrolled} enrolled")
    sys.exit(1 if faults else 0)


def _enroll(tools: Tools, line: Line) -> dict[str, object] | None:
    """Enrol the unicorn of one line; what is wrong with it, if it cannot be."""
    if isinstance(line, BadLine):
        return {"line": line.number, "message": line.message}
    try:
        new = NewUnicorn.model_validate(line.fields)
        at = new.location.location() if new.location else None
        enroll(tools.ports, new.unicorn(str(uuid.uuid4())), at, now())
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, fault["loc"]))
        return {"line": line.number, "message": f"{field}: {fault['msg']}"}
    except REFUSED as error:
        return {"line": line.number, "message": str(error)}
    return None
