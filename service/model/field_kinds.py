"""Kinds of a ride's fields, which say when a ride loses a value and from whom it hides it.

A field has the kinds that its annotation names; no other place lists fields by kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Final, get_type_hints

OF_UNICORN: Final = "of the unicorn"
"""The field belongs to the ride's unicorn: a ride that loses its unicorn loses the value too."""

OF_END: Final = "of the end"
"""The field tells how the ride ended: a unicorn that declined the ride does not see it."""

TEXT: Final = "text"
"""A person wrote the field: it is erased with the rider, and never stored in Redis."""

OF_REQUEST: Final = "of the request"
"""The field leads to the rider's request: it is erased with the rider."""


@cache
def defaults(model: Any, *kinds: str) -> Mapping[str, Any]:
    """The fields of a dataclass that have one of these kinds, each with its default."""
    hints = get_type_hints(model, include_extras=True)
    return {
        field.name: field.default
        for field in fields(model)
        if not set(kinds).isdisjoint(getattr(hints[field.name], "__metadata__", ()))
    }
