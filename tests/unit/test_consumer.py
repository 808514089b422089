"""The texts that a worker finds in Redis: messages are read, others become droppable messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from worker.consumer import readable

DELIVERY = {"exchange": "", "routing_key": "dispatch"}


def a_message(body: str = "e30=", **properties: Any) -> dict[str, Any]:
    named = {"delivery_tag": "tag", "delivery_info": DELIVERY, "body_encoding": "base64"}
    return {"body": body, "headers": {}, "properties": named | properties}


@pytest.mark.parametrize(
    "value",
    [
        a_message(),
        a_message("a body as it is", body_encoding=None),
        [a_message(), "", "dispatch"],  # one that a worker has taken
    ],
)
def test_a_message_is_read_as_it_is(value: Any) -> None:
    assert readable(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        *map(
            json.dumps,
            [
                5,
                {},
                a_message("a"),  # no base64
                a_message(delivery_tag=1),
                a_message(delivery_info={"exchange": ""}),
                a_message(delivery_info=DELIVERY | {"exchange": None}),
                [a_message(), ""],
                [{}, "", "dispatch"],
            ],
        ),
    ],
)
def test_any_other_text_becomes_the_body_of_a_message_that_is_dropped(text: str) -> None:
    found = readable(text)
    assert (found["body"], found["headers"]) == (text, {})
    assert readable(json.dumps(found)) == found
