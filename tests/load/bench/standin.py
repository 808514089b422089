"""A stand-in for DynamoDB that answers each call after 5 ms and costs little CPU.

With it a measurement shows the service and not the emulator, which is one Python process. It
supports puts, reads by key and the conditional updates of the stores, alone or in a transaction;
every index is empty. `python -m tests.load.bench.standin PORT` serves it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import AbstractContextManager
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

from service.local.emulators import HOST, listens
from tests.support.infrastructure import CREDENTIALS, PROJECT, MiniStack, free_port, wait_until
from tests.support.stack import start_process

LATENCY_SECONDS: Final = 0.005
FAILED: Final = "ConditionalCheckFailed"
ERRORS: Final = "com.amazonaws.dynamodb.v20120810"

Item = dict[str, Any]
tables: dict[str, dict[str, Item]] = {}


def key_of(name: str, item: Item) -> str:
    """The partition key of an item, or of a key, of the table."""
    key = {"Rides": "ride_id", "Unicorns": "unicorn_id"}.get(name.partition("-")[0], "operation_id")
    return str(item[key]["S"])


def stored(call: Item) -> Item:
    """The item that the call puts or whose key it has; empty if there is none."""
    name = call["TableName"]
    return tables.get(name, {}).get(key_of(name, call.get("Key") or call["Item"]), {})


def store(call: Item, item: Item) -> None:
    name = call["TableName"]
    tables.setdefault(name, {})[key_of(name, item)] = item


def holds(condition: str, call: Item, item: Item) -> bool:
    """Whether a condition holds that has one of the forms of `stores/dynamodb/updates.py`."""
    names, values = call.get("ExpressionAttributeNames", {}), call.get("ExpressionAttributeValues")
    name = re.findall(r"#?\w+", condition.removeprefix("NOT ").partition("(")[2] or condition)[0]
    held = item.get(names.get(name, name))
    if condition.startswith("attribute_not_exists"):
        return held is None
    (value,) = re.findall(r":\w+", condition)
    if condition.startswith("NOT contains"):
        return values[value]["S"] not in (held or {}).get("SS", ())
    return bool(held == values[value])


def may(call: Item, item: Item) -> bool:
    conditions = call.get("ConditionExpression", "")
    return all(holds(each, call, item) for each in filter(None, conditions.split(" AND ")))


def write(call: Item) -> None:
    """Put the item, or carry out `SET #a = :a, … REMOVE #b, …`."""
    if "Item" in call:
        store(call, call["Item"])
        return
    item = {**call["Key"], **stored(call)}
    sets, _, removes = call["UpdateExpression"].partition(" REMOVE ")
    names, values = call["ExpressionAttributeNames"], call["ExpressionAttributeValues"]
    item |= {names[name]: values[value] for name, value in re.findall(r"(#\w+) = (:\w+)", sets)}
    for name in re.findall(r"#\w+", removes):
        item.pop(names[name], None)
    store(call, item)


def put_item(call: Item) -> Item:
    if may(call, stored(call)):
        write(call)
        return {}
    return {"__type": f"{ERRORS}#{FAILED}Exception", "Item": stored(call)}


def get_item(call: Item) -> Item:
    return {"Item": stored(call)} if stored(call) else {}


def batch_get_item(call: Item) -> Item:
    asked = call["RequestItems"].items()
    found = {
        name: [stored({"TableName": name, "Key": key}) for key in query["Keys"]]
        for name, query in asked
    }
    return {"Responses": {name: [each for each in items if each] for name, items in found.items()}}


def transact_write_items(call: Item) -> Item:
    writes = [each for action in call["TransactItems"] for each in action.values()]
    fits = [may(each, stored(each)) for each in writes]
    if all(fits):
        for each in writes:
            write(each)
        return {}
    return {
        "__type": f"{ERRORS}#TransactionCanceledException",
        "CancellationReasons": [
            {"Code": "None"} if fit else {"Code": FAILED, "Item": stored(each)}
            for fit, each in zip(fits, writes, strict=True)
        ],
    }


OPERATIONS: Final = {
    "PutItem": put_item,
    "GetItem": get_item,
    "BatchGetItem": batch_get_item,
    "TransactWriteItems": transact_write_items,
    "Query": lambda _: {"Items": [], "Count": 0},
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, which is kept alive."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        operation = re.search(rb"x-amz-target: *\w+\.(\w+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1]) if length else 0)
        call = json.loads(body or b"{}")
        await asyncio.sleep(LATENCY_SECONDS)
        answer = OPERATIONS[operation[1].decode()](call) if operation else {}
        text = json.dumps(answer).encode()
        status = b"400 Bad Request" if "__type" in answer else b"200 OK"
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/x-amz-json-1.0\r\nDate: %b\r\n"
            b"Content-Length: %d\r\n\r\n%b"
            % (status, formatdate(usegmt=True).encode(), len(text), text)
        )


async def listen(port: int) -> None:
    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(on_connection, HOST, port) as server:
        await server.serve_forever()


class StandIn(AbstractContextManager["StandIn"]):
    """The stand-in in a separate process; a `Stack` uses it in place of `MiniStack`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = ["python", "-m", "tests.load.bench.standin", str(self.port)]
        self.process = start_process("standin", command, {"PYTHONPATH": str(PROJECT)}, folder)
        wait_until(lambda: listens(self.port), "start of the stand-in for DynamoDB")

    @property
    def environment(self) -> dict[str, str]:
        return CREDENTIALS | {
            "AWS_REGION": MiniStack.region,
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{HOST}:{self.port}",
        }

    def __exit__(self, *_: object) -> None:
        self.process.stop(grace=5)


if __name__ == "__main__":
    asyncio.run(listen(int(sys.argv[1])))
