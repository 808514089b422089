"""Makes the conditional update that writes the change from a value before to a value after."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from service.model import Ride, Unicorn
from service.stores.dynamodb.items import ride_item, text, unicorn_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import UpdateTypeDef

    from service.stores.dynamodb.items import Item

RIDE_GUARDS: Final = ("version", "status", "unicorn_id")
UNICORN_GUARDS: Final = ("version", "state", "accepting", "ride_id")
"""Attributes that must still be stored as they were. The version alone would be enough; the others
keep a unicorn from being claimed twice even if a version is ever written wrong."""


def new_write_id() -> str:
    """Names one operation through all its retries; also fits a transaction's request token.

    It is a short text of 128 bits, because a row is billed by the kilobyte.
    """
    return secrets.token_urlsafe(16)


def ride_update(
    table: str,
    before: Ride,
    after: Ride,
    write_id: str,
    guards: Sequence[str] = RIDE_GUARDS,
    *,
    retention: timedelta = timedelta(),
) -> UpdateTypeDef:
    """The update of a ride. Writes only changes, so `before` may lack unchanged attributes."""
    old, new = ride_item(before), ride_item(after, retention)
    if before.ended_at:
        # The retention that held at the last write is unknown, so each write sets the expiry anew.
        old["expires_at"] = text("")
    assigned = "unicorn_id" in new and "unicorn_id" not in old
    if "started_at" in new and "started_at" not in old:
        # No retry of the request needs it any more, and the row is billed by the kilobyte.
        old["first_write_id"] = text("")
    return _update_of(table, "ride_id", old, new, guards, write_id, never_excluded=assigned)


def unicorn_update(table: str, before: Unicorn, after: Unicorn, write_id: str) -> UpdateTypeDef:
    old, new = unicorn_item(before), unicorn_item(after)
    return _update_of(table, "unicorn_id", old, new, UNICORN_GUARDS, write_id)


def _update_of(
    table: str,
    key: str,
    old: Item,
    new: Item,
    guards: Sequence[str],
    write_id: str,
    *,
    never_excluded: bool = False,
) -> UpdateTypeDef:
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    changed["last_write_id"] = text(write_id)
    gone = [name for name in old if name not in new]
    conditions = [_unchanged(name, old) for name in guards]
    names = {*changed, *gone, *guards}
    if never_excluded:
        names.add("excluded")
        conditions.append("NOT contains(#excluded, :unicorn_id)")
    return {
        "TableName": table,
        "Key": {key: old[key]},
        "UpdateExpression": _expression(changed, gone),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {
            **{f":{name}": value for name, value in changed.items()},
            **{f":was_{name}": old[name] for name in guards if name in old},
        },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _unchanged(name: str, old: Item) -> str:
    return f"#{name} = :was_{name}" if name in old else f"attribute_not_exists(#{name})"


def _expression(changed: Item, gone: Sequence[str]) -> str:
    sets = "SET " + ", ".join(f"#{name} = :{name}" for name in changed)
    return sets + " REMOVE " + ", ".join(f"#{name}" for name in gone) if gone else sets
