"""Files that state the same for each way to run the service agree."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from service.local import emulators, procfile
from service.settings import ApiSettings, MonitorSettings
from service.stores.dynamodb.calls import PATIENCE_SECONDS
from tests.support.infrastructure import PROJECT


def test_the_image_starts_each_role_as_the_procfile_does() -> None:
    entrypoint = (PROJECT / "docker" / "entrypoint").read_text()
    roles = re.findall(r"^  (\w+)\) exec (.+) ;;$", entrypoint, re.MULTILINE)
    assert {role: shlex.split(command) for role, command in roles} == procfile.read(
        PROJECT / "Procfile"
    )


def test_every_setting_stands_in_the_example() -> None:
    lines = (PROJECT / ".env.example").read_text().splitlines()
    named = {line.partition("=")[0] for line in lines if "=" in line and line[0] != "#"}
    settings = {*ApiSettings.model_fields, *MonitorSettings.model_fields}
    assert {name.upper() for name in settings} <= named


def test_the_compose_file_has_only_variables_that_every_docker_compose_reads() -> None:
    """docker-compose 1 refuses a whole file for one `${NAME:+text}`."""
    compose = (PROJECT / "docker" / "compose.yaml").read_text()
    variables = re.findall(r"(?<!\$)\$\{?\w[^}\"\s]*\}?", compose)
    assert variables
    for variable in variables:
        assert re.fullmatch(r"\$\{\w+(:?[-?][^}]*)?\}", variable), variable


def test_compose_and_the_development_stack_run_the_same_emulator_with_the_same_settings(
    tmp_path: Path,
) -> None:
    aws = yaml.safe_load((PROJECT / "docker" / "compose.yaml").read_text())["services"]["aws"]
    pinned = (PROJECT / "service" / "local" / "requirements.in").read_text()
    (version,) = re.findall(r"^ministack==(\S+)", pinned, re.MULTILINE)
    assert aws["image"] == f"ministackorg/ministack:{version}"
    own = emulators.ministack(tmp_path, tmp_path, 4566, {}, tmp_path / "log").environment
    elsewhere = {"BIND_HOST", "STATE_DIR", "SERVICES"}
    names = aws["environment"].keys() & own.keys() - elsewhere
    assert names >= {"AUTH", "IOT_MTLS_ENABLED", "PERSIST_STATE"}
    assert {name: aws["environment"][name] for name in names} == {name: own[name] for name in names}
    assert set(aws["environment"]["SERVICES"].split(",")) <= set(own["SERVICES"].split(","))


def test_a_name_lookup_takes_no_longer_than_a_call_to_dynamodb_is_repeated() -> None:
    """glibc waits 10 s for a silent name server, and no time-out of a client ends that."""
    dockerfile = (PROJECT / "docker" / "Dockerfile").read_text()
    options = re.findall(r'RES_OPTIONS="timeout:(\d+) attempts:(\d+)"', dockerfile)
    [(seconds, attempts)] = options
    assert int(seconds) * int(attempts) <= PATIENCE_SECONDS


@pytest.mark.parametrize("line", ["web gunicorn", "web:", ": gunicorn"])
def test_a_bad_line_of_a_procfile_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text(f"worker: celery\n{line}\n")
    with pytest.raises(ValueError, match="not `name: command`"):
        procfile.read(tmp_path / "Procfile")


def test_every_published_port_of_the_containers_is_on_loopback() -> None:
    compose = (PROJECT / "docker" / "compose.yaml").read_text()
    published = re.findall(r"ports: \[(.+)\]", compose)
    assert published
    assert all(port.startswith(f'"{emulators.HOST}:') for port in published)


def test_no_container_is_stopped_by_a_log_that_nobody_reads() -> None:
    services = yaml.safe_load((PROJECT / "docker" / "compose.yaml").read_text())["services"]
    assert [
        name
        for name, service in services.items()
        if service["logging"]["options"]["mode"] != "non-blocking"
    ] == []
