"""A dispatch service in memory for each test."""

from __future__ import annotations

import pytest

from tests.support.service import Service


@pytest.fixture
def service() -> Service:
    return Service()
