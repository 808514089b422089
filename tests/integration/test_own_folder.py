"""Temporary files of a test run lie in its own folder, which pytest removes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest


def test_this_process_and_its_children_make_their_temporary_files_there(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ours = tmp_path_factory.getbasetemp()
    assert Path(tempfile.gettempdir()).is_relative_to(ours)
    assert Path(os.environ["TMPDIR"]).is_relative_to(ours)
