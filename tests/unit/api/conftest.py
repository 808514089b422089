"""The application on fakes; see `tests.api`."""

from __future__ import annotations

import pytest

from tests.api import Api, build_api


@pytest.fixture
def api() -> Api:
    return build_api()
