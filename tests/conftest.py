"""Session-wide real parts. Builders and fakes live beside the tests that use them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, settings

from service.background import Repeated
from service.local.environment import keep_to_the_stack
from tests.support.infrastructure import MiniStack, RedisServer
from tests.support.stack import Stack, stack_with_redis

# How long an example takes is no property of the code, least of all on a busy machine.
settings.register_profile("deep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Like Hypothesis' own profile for continuous integration: each run draws the same examples, so that
# a change is judged by itself. `make test-deep` draws new ones, and more (`support.examples`).
settings.register_profile("steady", settings.get_profile("deep"), derandomize=True, database=None)
settings.load_profile("steady")


FIRST = ("browser", "faults", "integration", "contract", "hostile")
"""Folders with the slowest tests. A parallel run begins with them, so that none runs alone at the
end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort slow files first; keep the order within a file.

    Only tests/aws may see the real AWS account and the proxy of the person who runs the tests.
    """
    if all(item.path.parent.name != "aws" for item in items):
        keep_to_the_stack()
    rank = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(rank)))


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever this process and its children make of temporary files goes with the run."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("tmp")
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture(autouse=True)
def _background_work_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test repeats in the background of this process ends with the test.

    Its retries would draw random numbers, and its tracebacks parse source code, while later tests
    do the same; Hypothesis and Python 3.11 bear neither.
    """
    started: list[Repeated] = []
    start = Repeated.start

    def start_and_remember(work: Repeated, first_within: float = 0.0) -> None:
        started.append(work)
        start(work, first_within)

    monkeypatch.setattr(Repeated, "start", start_and_remember)
    yield
    for work in started:
        work.close()


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    """One AWS for all tests: give tables and pools names of your own."""
    with MiniStack(tmp_path_factory.mktemp("aws")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(shared_redis_server: RedisServer) -> RedisServer:
    """The shared Redis, emptied. A test that breaks it starts a `RedisServer` of its own."""
    with redis.Redis.from_url(shared_redis_server.url) as client:
        client.flushall()
    return shared_redis_server


@pytest.fixture(scope="module")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ministack: MiniStack
) -> Iterator[Stack]:
    """The stack that all tests of a file share, with the options of the file's mark `stack`."""
    mark = request.node.get_closest_marker("stack")
    options = mark.kwargs if mark else {}
    with stack_with_redis(tmp_path_factory.mktemp("stack"), ministack, **options) as stack:
        yield stack
