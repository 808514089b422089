"""Entries in Redis that are absent, of another release or unreadable."""

from __future__ import annotations

import logging

import pytest

from service.observability.instruments import UNREADABLE_ENTRIES
from service.stores.entries import UnknownSchema, readable


def count() -> float:
    return UNREADABLE_ENTRIES.labels("plan")._value.get()


@pytest.mark.parametrize(
    ("text", "error", "unreadable"),
    [
        (None, ValueError, 0),
        ("", ValueError, 0),
        ("{", ValueError, 1),
        ('{"schema": 99}', UnknownSchema, 0),
    ],
)
def test_only_an_entry_that_should_be_readable_is_counted_and_logged(
    caplog: pytest.LogCaptureFixture, text: str | None, error: type[ValueError], unreadable: int
) -> None:
    def load(ride_id: str, text: str) -> str:
        raise error("somebody's home")

    before = count()
    with caplog.at_level(logging.INFO):
        assert readable("plan", load, "r1", text) is None
    assert count() - before == unreadable
    assert [each.getMessage() for each in caplog.records] == ["unreadable entry"] * unreadable
    assert "home" not in caplog.text


def test_a_readable_entry_is_loaded_with_its_name() -> None:
    assert readable("plan", lambda ride_id, text: f"{ride_id} {text}", "r1", "plan") == "r1 plan"
