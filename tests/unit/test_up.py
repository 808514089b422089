"""What `make run` tells a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.local.stack import Ports, Secrets, Stack
from service.local.up import ready_text


@pytest.mark.parametrize(("enabled", "told"), [("true", "http://127.0.0.1:5555"), ("false", "off")])
def test_where_the_monitor_is_or_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enabled: str, told: str
) -> None:
    monkeypatch.setenv("MONITOR_ENABLED", enabled)
    text = ready_text(Stack(tmp_path, Ports(), Secrets.of(tmp_path)), {})
    (line,) = [line for line in text.splitlines() if line.startswith("  monitor ")]
    assert line.split()[1] == told
