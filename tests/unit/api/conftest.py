"""The application on fakes; see `tests.support.api`."""

from __future__ import annotations

import pytest

from tests.support.api import Api, build_api


@pytest.fixture
def api() -> Api:
    return build_api()
