"""Stores unicorns in DynamoDB, each with an account item that names its driver's account."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache

from service.core.ports import WriteConflict
from service.model import Unicorn
from service.model.errors import AccountTaken, UnicornExists
from service.stores.dynamodb.calls import PATIENCE_SECONDS, ConditionFailed, write
from service.stores.dynamodb.items import (
    ACCOUNT_PREFIX,
    account_key,
    driver_of,
    readable_unicorn,
    text,
    unicorn_from,
    unicorn_item,
)
from service.stores.dynamodb.table import TableStore
from service.stores.dynamodb.updates import new_write_id, unicorn_update

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from service.stores.dynamodb.items import Item


ACCOUNT_REMEMBERED_SECONDS: Final = 30.0
"""How long a process remembers an account's unicorn, because otherwise every position would cost a
read. If staff moves an account to another unicorn, other processes notice it within this time."""
MOST_ACCOUNTS_REMEMBERED: Final = 100_000


class DynamoUnicorns(TableStore):
    """`Unicorns` on one table. It remembers the unicorns of accounts for a while."""

    key = "unicorn_id"

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, table, patience_seconds=patience_seconds)
        self._accounts: TTLCache[str, str] = TTLCache(
            MOST_ACCOUNTS_REMEMBERED, ACCOUNT_REMEMBERED_SECONDS, monotonic
        )

    def create(self, unicorn: Unicorn) -> None:
        write_id = new_write_id()
        actions = [self._new(unicorn_item(unicorn), write_id)]
        account_sub = driver_of(unicorn)
        if account_sub is not None:
            actions.append(self._new(_account_item(account_sub, unicorn), write_id))
        try:
            self._transact(actions, write_id)
        except ConditionFailed as failed:
            if 0 in failed.stored:
                raise UnicornExists("this unicorn id is, or was, in use") from failed
            raise AccountTaken("this account drives another unicorn") from failed

    def get(self, unicorn_id: str) -> Unicorn | None:
        item = None if unicorn_id.startswith(ACCOUNT_PREFIX) else self._stored(unicorn_id)
        return unicorn_from(item) if item else None

    def get_all(self, unicorn_ids: Collection[str]) -> Mapping[str, Unicorn | None]:
        names = [name for name in dict.fromkeys(unicorn_ids) if not name.startswith(ACCOUNT_PREFIX)]
        return {item["unicorn_id"]["S"]: readable_unicorn(item) for item in self._items_of(names)}

    def of_account(self, account_sub: str) -> str | None:
        unicorn_id = self._accounts.get(account_sub)
        if unicorn_id is None:
            item = self._stored(account_key(account_sub))
            if item is None:
                return None
            unicorn_id = self._accounts[account_sub] = item["drives"]["S"]
        return unicorn_id

    def save(self, before: Unicorn, after: Unicorn) -> None:
        write_id = new_write_id()
        update = unicorn_update(self._table, before, after, write_id)
        accounts = self._account_changes(before, after, write_id)
        try:
            if accounts:
                self._transact([{"Update": update}, *accounts], write_id)
            else:
                write(lambda: self._client.update_item(**update), write_id, self._patience)
        except ConditionFailed as failed:
            if 0 not in failed.stored:
                raise AccountTaken("this account drives another unicorn") from failed
            stored = failed.stored[0]
            raise WriteConflict(unicorn=unicorn_from(stored) if stored else None) from failed
        finally:
            self._accounts.pop(before.account_sub or "", None)

    def _account_changes(
        self, before: Unicorn, after: Unicorn, write_id: str
    ) -> list[TransactWriteItemTypeDef]:
        old, new = driver_of(before), driver_of(after)
        if old == new:
            return []
        changes: list[TransactWriteItemTypeDef] = []
        if new is not None:
            changes.append(self._new(_account_item(new, after), write_id))
        if old is not None:
            # The condition on the unicorn ensures that the account is still this unicorn's.
            key = self._key(account_key(old))
            changes.append({"Delete": {"TableName": self._table, "Key": key}})
        return changes

    def _new(self, item: Item, write_id: str) -> TransactWriteItemTypeDef:
        return {
            "Put": {
                "TableName": self._table,
                "Item": item | {"last_write_id": text(write_id)},
                "ConditionExpression": "attribute_not_exists(unicorn_id)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _transact(self, actions: list[TransactWriteItemTypeDef], write_id: str) -> None:
        write(
            lambda: self._client.transact_write_items(
                TransactItems=actions, ClientRequestToken=write_id
            ),
            write_id,
            self._patience,
        )


def _account_item(account_sub: str, unicorn: Unicorn) -> Item:
    return {"unicorn_id": text(account_key(account_sub)), "drives": text(unicorn.unicorn_id)}
