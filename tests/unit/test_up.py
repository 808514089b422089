"""What `make run` tells a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.local.environment import redirects
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


def test_every_origin_that_may_call_the_api_may_sign_in_however_the_list_is_spaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "http://localhost:5173, http://localhost:4200 ,")
    invited = redirects(Stack(tmp_path, Ports(), Secrets.of(tmp_path)))[-6:]
    origins = ("http://localhost:5173", "http://localhost:4200")
    assert invited == [f"{each}{path}" for each in origins for path in ("/", "/callback", "")]
