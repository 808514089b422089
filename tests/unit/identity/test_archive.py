"""The archive for Lambda holds all that the handlers import and Lambda's Python lacks."""

from __future__ import annotations

import subprocess
from pathlib import Path

from service.local import triggers
from tests.support.infrastructure import ENVIRONMENTS
from tests.unit.identity.test_templates import handlers


def test_every_handler_is_found_where_only_botocore_is_installed(tmp_path: Path) -> None:
    """The emulator's virtual environment is such a place: it lacks the service's libraries."""
    archive = tmp_path / "triggers.zip"
    archive.write_bytes(triggers.archive())
    modules = sorted({handler.partition(".")[0] for handler in handlers().values()})
    imports = "; ".join(f"import service.identity.{module}" for module in modules)
    result = subprocess.run(
        [ENVIRONMENTS / "bin" / "python", "-c", imports],
        env={"PYTHONPATH": str(archive)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_same_sources_make_the_same_archive() -> None:
    assert triggers.archive() == triggers.archive()
