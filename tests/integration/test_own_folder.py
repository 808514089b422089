"""What a test's processes leave behind lies in the test's own folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.support.infrastructure import MiniStack, RedisServer
from tests.support.stack import Stack


def test_a_killed_worker_leaves_its_files_in_the_tests_folder(
    tmp_path: Path, ministack: MiniStack, redis_server: RedisServer
) -> None:
    with Stack(tmp_path, ministack, redis_server, roles=("worker",)) as stack:
        stack.kill("worker")
        assert [each.name for each in stack.temporary.glob("pymp-*")]


def test_temporary_files_of_this_process_and_its_children_go_with_the_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ours = tmp_path_factory.getbasetemp()
    assert Path(tempfile.gettempdir()).is_relative_to(ours)
    assert Path(os.environ["TMPDIR"]).is_relative_to(ours)
