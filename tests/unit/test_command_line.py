"""The commands and their options, and the audit lines that commands write."""

from __future__ import annotations

import getpass
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner

from service.command import tools
from service.command.fleet import BadLine, _new_unicorn
from service.command.main import main

COMMANDS: Final[Mapping[str, set[str]]] = {
    "account leave": {"sub", "group"},
    "account resume": {"sub"},
    "account suspend": {"sub"},
    "dead-letters list": {"[limit=100]"},
    "dead-letters replay": {"dead_letter_id"},
    "dispatch pause": {"[zone]"},
    "dispatch resume": {"[zone]"},
    "dispatch status": set(),
    "doctor": set(),
    "erase": {"sub"},
    "fleet import": {"file"},
    "reconcile": set(),
    "retention": {"since"},
    "revoke": {"[sub]", "[origin_jti]", "[jti]"},
    "tables check": set(),
    "tables create": {"--drop_former_indexes"},
}
"""What each command takes besides `--json`; in brackets what may be left out, with `--` flags."""


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def shown(parameter: click.Parameter) -> str:
    assert parameter.name
    if parameter.required:
        return parameter.name
    if getattr(parameter, "is_flag", False):
        return f"--{parameter.name}"
    has_default = isinstance(parameter.default, int)
    assert not has_default or getattr(parameter, "show_default", False)
    return f"[{parameter.name}={parameter.default}]" if has_default else f"[{parameter.name}]"


def test_each_command_takes_what_is_documented() -> None:
    found = {name: {shown(each) for each in made.params} for name, made in commands(main)}
    assert found == {name: taken | {"--output"} for name, taken in COMMANDS.items()}
    assert all(made.help or made.short_help for _, made in commands(main))


def test_a_fleet_is_imported_from_a_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        assert CliRunner().invoke(main, ["fleet", "import", str(path)]).exit_code == 2


def test_a_long_value_in_a_line_of_the_fleet_is_repeated_in_part() -> None:
    with pytest.raises(BadLine) as refused:
        _new_unicorn({"name": "Silver", "color": "White", "gender": "x" * 500})
    assert str(refused.value).endswith(f"found {'x' * 80!r}")


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_an_audit_line_names_the_operator_also_without_a_name(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody() -> str:
        raise error

    audit = logging.getLogger("service.audit")
    before = (audit.level, list(audit.handlers))
    operators = [tools._account(), str(os.getuid())]
    with tools.audit_lines_on_stderr():
        tools.wrote("dispatch paused", zone="z")
        monkeypatch.setattr(getpass, "getuser", nobody)
        tools.wrote("dispatch paused", zone="z")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["operator"] for line in lines] == [
        f"{name}@{socket.gethostname()}" for name in operators
    ]
    assert {(line["message"], line["zone"]) for line in lines} == {("dispatch paused", "z")}
    assert (audit.level, audit.handlers) == before
