"""The examples of the OpenAPI document have the form of what the API answers today.

`RECORD_EXAMPLES=1` records the requests and answers of this run as the new examples.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from service.api.discovery import EXAMPLES
from tests.support import examples
from tests.support.stack import Stack

pytestmark = pytest.mark.stack(
    PUBLIC_URL="https://rides.example.com",
    PHOTOS_BUCKET=examples.BUCKET,
    IDENTITY_POOL_ID="us-east-1:00000000-0000-4000-8000-000000000001",
)


def form(value: Any) -> Any:
    """The names of its fields at every depth; those of a list's first entry for a list."""
    if isinstance(value, dict):
        return {name: form(each) for name, each in value.items()}
    return [form(value[0])] if isinstance(value, list) and value else None


def test_a_run_through_every_operation_answers_as_the_examples_say(stack: Stack) -> None:
    kept = examples.run(stack)
    if os.environ.get("RECORD_EXAMPLES"):
        examples.write(kept)
    recorded = json.loads(EXAMPLES.read_text())
    assert kept.keys() == recorded.keys()
    for operation in kept:
        assert form(kept[operation]) == form(recorded[operation]), operation
