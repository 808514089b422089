"""The text that `make run` prints, and the environment of its processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from service.local.environment import process_environment, redirects
from service.local.identity import Identity
from service.local.stack import Ports, Secrets, Stack, StackError, StackSettings
from service.local.up import ready_text


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MONITOR_ENABLED", "true", "http://127.0.0.1:5555"),
        ("MONITOR_ENABLED", "false", "off"),
        ("FLOWER_URL_PREFIX", "/flower/", "http://127.0.0.1:5555/flower"),
    ],
)
def test_the_address_of_the_monitor_is_printed_or_that_it_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    text = ready_text(Stack(tmp_path, Ports.of(StackSettings()), Secrets.of(tmp_path)))
    (line,) = [line for line in text.splitlines() if line.startswith("  monitor ")]
    assert line.split()[1] == told


def test_a_port_that_two_parts_want_is_refused_by_both_settings() -> None:
    """The page would answer where the monitor is said to be, and the monitor never start."""
    with pytest.raises(StackError, match=r"(?s)set PORT to another.*set MONITOR_PORT to another"):
        replace(Ports.consecutive(5555), monitor=5555).require_free(metrics_port=0)


def test_a_port_that_metrics_want_is_refused_by_its_setting() -> None:
    """The role would go on without metrics, and only its log would say so."""
    refused = r"port 5555, wanted by the metrics of beat, is taken: set METRICS_PORT to another"
    with pytest.raises(StackError, match=refused):
        Ports.consecutive(5555).require_free(metrics_port=5553)


def test_no_process_sees_credentials_of_a_real_aws_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no file or profile that leads to such credentials."""
    names = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "CONFIG_FILE")
    roles = ("ROLE_ARN", "WEB_IDENTITY_TOKEN_FILE", "CONTAINER_CREDENTIALS_FULL_URI")
    for name in (*names, *roles):
        monkeypatch.setenv(f"AWS_{name}", "real")
    stack = Stack(tmp_path, Ports.of(StackSettings()), Secrets.of(tmp_path))
    identity = Identity("us-east-1_Pool", "web", "machine", "secret", {})
    environment = process_environment(stack, identity)
    assert "real" not in environment.values()
    assert environment["AWS_ACCESS_KEY_ID"]


def test_every_origin_that_may_call_the_api_may_sign_in_however_the_list_is_spaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "http://localhost:5173, http://localhost:4200 ,")
    invited = redirects(Stack(tmp_path, Ports.of(StackSettings()), Secrets.of(tmp_path)))[-6:]
    origins = ("http://localhost:5173", "http://localhost:4200")
    assert invited == [f"{each}{path}" for each in origins for path in ("/", "/callback", "")]
