"""Threads for tests of what threads share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture
def threads_that_switch_often() -> Iterator[ThreadPoolExecutor]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            yield pool
    finally:
        sys.setswitchinterval(usual)
