"""How a process is put together."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import pytest

from service.bootstrap import _tell_age
from service.observability.instruments import KEYS_FETCHED


@pytest.mark.parametrize("age", [math.inf, 5.0])
def test_the_metric_of_the_keys_is_the_instant_of_the_last_fetch_or_0(age: float) -> None:
    keys: Any = SimpleNamespace(age_seconds=lambda: age)
    before = time.time()
    _tell_age(keys)
    fetched = KEYS_FETCHED._value.get()
    assert fetched == 0 if math.isinf(age) else before - age <= fetched <= time.time() - age
