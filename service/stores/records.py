"""Maps the model's dataclasses to plain records; every store writes and reads these.

A record is a dict of strings, numbers, booleans, lists of strings or numbers, and records, under
the names of the dataclass's fields. A field that is None, an empty set, an empty mapping or a zero
that is its default is left out; it is read as its default, or as None where it has no default.
Instants are ISO 8601 in UTC with milliseconds (`2026-11-23T02:46:28.123Z`), so that they sort as
text. A ride and a unicorn have no lists of numbers: their items hold lists as sets of strings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from types import NoneType
from typing import Any, Final, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

Record = dict[str, Any]
Value = TypeVar("Value")
Convert = Callable[[Any], Any]

UNREADABLE: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    OSError,
    RecursionError,
)
"""The exceptions from loading an entry or an item that this release cannot read."""


def instant_text(instant: datetime) -> str:
    """The text of a timezone-aware instant, cut to milliseconds."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def instant_of(text: str) -> datetime:
    """The instant of a text. Raises `ValueError` if the text has no time zone."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return instant


def millis(instant: datetime) -> int:
    """Milliseconds since 1970."""
    return int(instant.timestamp() * 1000)


def instant_at(milliseconds: float) -> datetime:
    """The instant so many milliseconds after the beginning of 1970."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def instant_or_none(milliseconds: str | None) -> datetime | None:
    """The instant of a text; None for no text or one that is not an instant."""
    try:
        return instant_at(int(milliseconds)) if milliseconds else None
    except UNREADABLE:
        return None


@cache
def in_millis(duration: timedelta) -> int:
    """A duration in whole milliseconds."""
    return duration // timedelta(milliseconds=1)


def record_of(value: object) -> Record:
    """The record of a dataclass instance."""
    record = {}
    for name, write in _form(type(value)).writers:
        held = getattr(value, name)
        if held is not None and (written := write(held)) is not None:
            record[name] = written
    return record


def value_of(kind: type[Value], record: Record) -> Value:
    """The instance of the dataclass `kind` from a record, whose numbers may be texts.

    Raises one of `UNREADABLE` if the record does not fit.
    """
    _, readers, absent = _form(kind)
    held = {name: readers[name](written) for name, written in record.items() if name in readers}
    return kind(**absent | held)


class _Form(NamedTuple):
    """The converters of a dataclass's fields, by name."""

    writers: tuple[tuple[str, Convert], ...]
    readers: Mapping[str, Convert]
    absent: Record
    """The fields that may be None and have no default, with None as their value."""


def _form_of(kind: Any) -> _Form:
    hints = get_type_hints(kind)
    converters = {field.name: _converters(hints[field.name]) for field in fields(kind)}
    for field in fields(kind):
        if hints[field.name] is int and field.default == 0:
            converters[field.name] = _unless_zero, int
    return _Form(
        writers=tuple((name, write) for name, (write, _) in converters.items()),
        readers={name: read for name, (_, read) in converters.items()},
        absent={
            field.name: None
            for field in fields(kind)
            if field.default is MISSING and NoneType in get_args(hints[field.name])
        },
    )


_form: Final[Callable[[type], _Form]] = cache(_form_of)


def _converters(hint: Any) -> tuple[Convert, Convert]:
    """The functions that write and read a field of this type."""
    kind = get_args(hint)[0] if NoneType in get_args(hint) else hint
    if kind in _PLAIN:
        return _same, _PLAIN[kind]
    if kind is datetime:
        return instant_text, instant_of
    if get_origin(kind) is Mapping:
        return lambda values: dict(values) or None, partial(_numbers, get_args(kind)[1])
    if get_origin(kind) is tuple:
        return list, lambda numbers: tuple(map(get_args(kind)[0], numbers))
    if get_origin(kind) is frozenset:
        return lambda members: sorted(members) or None, frozenset
    if isinstance(kind, type) and is_dataclass(kind):
        return record_of, partial(value_of, kind)
    if issubclass(kind, StrEnum):
        return str, kind
    raise TypeError(f"no record has a field of type {kind}")


def _numbers(kind: Convert, record: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: kind(number) for name, number in record.items()}


def _unless_zero(count: int) -> int | None:
    return count or None


def finite(number: Any) -> float:
    """The number, or the number that a text names. Raises `ValueError` for NaN and infinity, which
    Python reads from JSON too."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _same(value: Any) -> Any:
    return value


_PLAIN: Final[Mapping[Any, Convert]] = {str: _same, bool: _same, int: int, float: float}
"""The types that a record holds as they are, and how each is read."""
