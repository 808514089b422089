"""Use cases name the part of the ports that they need, and get no more."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import fields

import service.core
from service.core.ports import Ports, Stores

NARROW = {
    "claims": {"Stores"},
    "effects": {"Hints"},
    "estimates": {"Hints"},
    "transition": {"Stores"},
}


def parts_taken() -> Iterator[tuple[str, str]]:
    """Each use case's module, with the type of each argument that carries ports."""
    for found in pkgutil.iter_modules(service.core.__path__):
        module = importlib.import_module(f"service.core.{found.name}")
        for thing in vars(module).values():
            if getattr(thing, "__module__", "") == module.__name__:
                taken = getattr(thing, "__annotations__", {}).get("ports")
                if taken is not None:
                    yield found.name, str(taken)


def test_no_use_case_takes_all_ports() -> None:
    assert {part for _, part in parts_taken()} == {"Hints", "Stores"}


def test_helpers_that_use_cases_share_take_the_narrow_group_of_ports() -> None:
    for name, parts in NARROW.items():
        assert {part for module, part in parts_taken() if module == name} == parts, name


def test_stores_lacks_the_ports_of_operators_and_followers() -> None:
    names = {field.name for field in fields(Stores)}
    assert names < {field.name for field in fields(Ports)}
    assert not names & {"dead_letters", "pickup_etas"}
