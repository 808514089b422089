"""Links, files and settings that documents name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.settings import ApiSettings, MonitorSettings
from tests.support.documents import pages
from tests.support.infrastructure import PROJECT


@pytest.mark.parametrize("page", pages())
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    path = PROJECT / page
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("page", pages())
def test_every_file_a_page_names_is_there(page: str) -> None:
    """A name in backticks with a folder of the project in front: `service/http/frame.py`."""
    named = re.findall(
        r"`((?:service|worker|tests|docker)/[\w./-]+\.\w+)(?::\d+)?`", (PROJECT / page).read_text()
    )
    assert [name for name in named if not Path(PROJECT / name).exists()] == []


def test_the_page_of_settings_lists_exactly_the_settings() -> None:
    rows = re.findall(
        r"^\|\s*(`[A-Z].*?)\|", (PROJECT / "service/SETTINGS.md").read_text(), re.MULTILINE
    )
    listed = {name for row in rows for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row)}
    settings = {*ApiSettings.model_fields, *MonitorSettings.model_fields}
    assert listed == {name.upper() for name in settings}


def test_the_page_of_settings_states_each_default() -> None:
    page = (PROJECT / "service/SETTINGS.md").read_text()
    fields = {**ApiSettings.model_fields, **MonitorSettings.model_fields}
    for names, stated in re.findall(r"^\|\s*(`[A-Z].*?)\|(.*?)\|", page, re.MULTILINE):
        for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", names):
            default = fields[name.lower()].default
            if default and type(default) in {int, str}:
                assert re.search(rf"(?<!\w){re.escape(str(default))}(?!\w)", stated), name


def test_every_equivalent_mutant_is_of_a_line_that_exists() -> None:
    """Otherwise the line has changed, and `make mutants` counts its mutant as a survivor."""
    names = (PROJECT / "tests/load/mutants/equivalent.txt").read_text().splitlines()
    mutants = [name.split(" | ") for name in names if not name.startswith("#")]
    gone = [
        path
        for path, *lines in mutants
        for line in lines
        if line.startswith("-")
        if not (PROJECT / path).exists() or line[1:].strip() not in (PROJECT / path).read_text()
    ]
    assert gone == []
