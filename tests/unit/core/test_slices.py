"""Use cases name the part of the ports that they need, and get no more."""

from __future__ import annotations

from dataclasses import fields

from service.core import arriving, claims, effects, estimates, reconcile, transition
from service.core.ports import Hints, Ports, Stores

NARROW = {
    effects: Hints,
    estimates: Hints,
    transition: Stores,
    claims: Stores,
    reconcile: Stores,
    arriving: Stores,
}


def test_what_every_use_case_rests_on_takes_no_more_than_it_needs() -> None:
    for module, kind in NARROW.items():
        taken = {
            str(function.__annotations__["ports"])
            for function in vars(module).values()
            if "ports" in getattr(function, "__annotations__", {})
            and function.__module__ == module.__name__
        }
        assert taken == {kind.__name__}, module.__name__


def test_a_part_has_nothing_that_only_operators_ask() -> None:
    names = {field.name for field in fields(Stores)}
    assert names < {field.name for field in fields(Ports)}
    assert not names & {"pauses", "dead_letters", "arrivals"}
