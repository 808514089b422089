"""Rides and unicorns as DynamoDB items: typed attributes of their records, and those of indexes.

An item has the record's attributes, without those that are None, and with numbers as text. The item
of a ride also has `unicorn_id` of the assigned unicorn, `shard` while the ride is open (with
`due_at` the key of the sparse index of open rides), `expires_at` once it has ended (unless rides
are kept for ever) and `day_shard`. Every write except that of an unreadable ride's `due_at`
stores its id as `last_write_id`, a ride's first write also as `first_write_id`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zlib import crc32

from service.model import Ride, Unicorn, UnicornState
from service.stores.records import UNREADABLE, Record, record_of, value_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = dict[str, AttributeValueTypeDef]

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

SHARDS: Final = tuple(str(shard) for shard in range(8))
"""The partitions of the index of open rides. Each takes 1,000 writes a second (AWS, "Designing
partition keys"), and costs a sweep one query."""

MAX_KEY_BYTES: Final = 2048
"""The most bytes of a partition key (AWS, "Service quotas in DynamoDB")."""

ACCOUNT_PREFIX: Final = "account#"
"""The prefix of keys of account items, which name an account's unicorn; no unicorn id has a `#`."""


def ride_item(ride: Ride, retention: timedelta = timedelta()) -> Item:
    """The item of a ride. `retention`: how long a ride is kept after its end; zero: for ever."""
    item = _item(record_of(ride))
    if retention and ride.ended_at:
        item["expires_at"] = {"N": str(int((ride.ended_at + retention).timestamp()))}
    if ride.unicorn_id is not None:
        item["unicorn_id"] = text(ride.unicorn_id)
    shard = shard_of(ride.ride_id)
    item["day_shard"] = text(f"{item['requested_at']['S'][:10]}#{shard}")
    if not ride.is_terminal:
        item["shard"] = text(shard)
    return item


def ride_from(item: Item) -> Ride:
    try:
        return value_of(Ride, _record(item))
    except UNREADABLE as error:
        error.add_note(f"ride {item['ride_id']['S']}")  # for the log line of the failed request
        raise


def readable(load: Callable[[Item], Value], item: Item, key: str) -> Value | None:
    """The value that `load` reads; None for an unreadable item, so that it hides no other.

    An unreadable item is logged with its `key`.
    """
    try:
        return load(item)
    except UNREADABLE:
        logger.exception("unreadable item", extra={key: item[key]["S"]})
        return None


def readable_rides(items: Iterable[Item]) -> Iterator[Ride]:
    """The rides of all readable items."""
    return filter(None, (readable(ride_from, item, "ride_id") for item in items))


def unicorn_item(unicorn: Unicorn) -> Item:
    return _item(record_of(unicorn))


def unicorn_from(item: Item) -> Unicorn:
    return value_of(Unicorn, _record(item))


def readable_unicorn(item: Item) -> Unicorn | None:
    return readable(unicorn_from, item, "unicorn_id")


def driver_of(unicorn: Unicorn) -> str | None:
    """The account that drives this unicorn; None for a removed one, whose account is free."""
    return None if unicorn.state is UnicornState.REMOVED else unicorn.account_sub


def account_key(account_sub: str) -> str:
    return f"{ACCOUNT_PREFIX}{account_sub}"


def shard_of(ride_id: str) -> str:
    return SHARDS[crc32(ride_id.encode()) % len(SHARDS)]


def text(value: str) -> AttributeValueTypeDef:
    return {"S": value}


def can_be_key(value: str) -> bool:
    """Whether DynamoDB accepts the text as a key; otherwise it would refuse the whole request."""
    return 0 < len(value.encode(errors="replace")) <= MAX_KEY_BYTES


def _item(record: Record) -> Item:
    return {name: _attribute(value) for name, value in record.items()}


def _record(item: Item) -> Record:
    return {name: _value(attribute) for name, attribute in item.items()}


def _attribute(value: object) -> AttributeValueTypeDef:
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": repr(value)}
        case list():
            return {"SS": value}
        case dict():
            return {"M": _item(value)}
    raise TypeError(f"no attribute for {type(value).__name__}")


def _value(attribute: AttributeValueTypeDef) -> Any:
    """The attribute's value. Numbers stay text: the record's reader knows which are integers."""
    ((kind, value),) = attribute.items()
    return _record(value) if kind == "M" else value  # type: ignore[arg-type]
