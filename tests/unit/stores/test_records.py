"""A dataclass of the model is a record by its own fields: none is listed a second time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pytest

from service.model import Location
from service.stores.records import record_of, value_of
from tests.support.builders import NOW


class Mood(StrEnum):
    GOOD = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A field of every form that the model uses."""

    walk_id: str
    begun: datetime
    ended: datetime | None
    by_night: bool = False
    steps: int = 0
    metres: float = 0.0
    mood: Mood | None = None
    stops: frozenset[str] = frozenset()
    goal: Location | None = None


A_WALK = Walk(walk_id="w", begun=NOW, ended=None)
A_LONG_WALK = Walk(
    walk_id="w",
    begun=NOW,
    ended=NOW,
    by_night=True,
    steps=12,
    metres=7.5,
    mood=Mood.GOOD,
    stops=frozenset({"b", "a"}),
    goal=Location(1.0, 2.0),
)
RECORD = {
    "walk_id": "w",
    "begun": "2026-11-23T02:46:28.123Z",
    "ended": "2026-11-23T02:46:28.123Z",
    "by_night": True,
    "steps": 12,
    "metres": 7.5,
    "mood": "good",
    "stops": ["a", "b"],
    "goal": {"latitude": 1.0, "longitude": 2.0},
}


def test_every_field_is_written_under_its_own_name() -> None:
    assert record_of(A_LONG_WALK) == RECORD
    assert type(record_of(A_LONG_WALK)["mood"]) is str


def test_none_empty_sets_and_zeros_by_default_are_left_out() -> None:
    assert record_of(A_WALK) == {
        "walk_id": "w",
        "begun": "2026-11-23T02:46:28.123Z",
        "by_night": False,
        "metres": 0.0,
    }


@pytest.mark.parametrize("walk", [A_WALK, A_LONG_WALK])
def test_what_is_read_is_what_was_written(walk: Walk) -> None:
    assert value_of(Walk, record_of(walk)) == walk


def test_numbers_may_be_texts() -> None:
    walk = value_of(Walk, RECORD | {"steps": "12", "metres": "7.5"})
    assert walk == A_LONG_WALK


def test_a_record_of_an_older_release_lacks_the_new_fields() -> None:
    assert value_of(Walk, {"walk_id": "w", "begun": RECORD["begun"]}) == A_WALK


def test_a_field_of_a_newer_release_is_ignored() -> None:
    assert value_of(Walk, RECORD | {"weather": "fine"}) == A_LONG_WALK


@pytest.mark.parametrize("missing", ["walk_id", "begun"])
def test_a_record_without_a_field_that_must_be_there_is_refused(missing: str) -> None:
    record = {name: value for name, value in RECORD.items() if name != missing}
    with pytest.raises(TypeError):
        value_of(Walk, record)


def test_a_field_of_another_form_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        pairs: dict[str, str]

    with pytest.raises(TypeError):
        record_of(Odd({}))
