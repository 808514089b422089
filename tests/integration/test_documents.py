"""Every command of every Markdown page is run as it is printed, or there is a reason why not."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from cfnlint.decode import decode

from service.local.stack import Ports
from tests.support.aws_commands import calls_in, faults_of, read
from tests.support.documents import Command, commands
from tests.support.infrastructure import PROJECT, free_port

pytestmark = pytest.mark.timeout(400)

IN_A_SHELL: Final = (
    "README.md",
    "docker/OPERATIONS.md",
    "docker/RUNBOOK.md",
    "service/local/APPS.md",
)
"""Pages whose commands are typed into one shell, one page after the other, on a stack that runs."""

REASONS: Final[Mapping[str, str]] = {
    r"make (test|test-aws|test-deep|check|review|lock|bench|mutants|sbom|triggers|run ROADS=.*)"
    r"( .*)?": ("takes minutes or more tools; make says what it would do"),
    r"make deploy-check .*": "needs an account; test_deploy_check.py has an emulated one",
    r"make gateway": "tests/unit/auth/test_gateway_template.py compares what it writes",
    r"make chaos SEED=\d+( .*)?": "minutes long; tests/faults/test_chaos.py runs a minute of it",
    r"(\w+=\S+ )*docker-compose .*": "needs a Docker engine; tests/docker runs the compose file",
    r"python -m tests\.load\.(bench|outages).*": "minutes long; its module is looked for",
    r"aws cognito-idp .*": "needs an AWS account; options are compared below",
    r"python -m tests\.load\.cost.*": "tests/unit/test_costs.py computes the page",
    r"python -m service retention": "tests/integration/test_command.py",
    r"python -m service erase --sub": "OPERATIONS.md types it with a subject",
    r"python -m service account (leave|suspend) .*": "test_identity_walk.py has such a user",
    r"ALLOWED_EMAIL_DOMAINS=\S+ make run": "tests/integration/test_local_triggers.py starts so",
    r"(npm pack|tar|sed) .*": "fetches a new release of a file that is committed",
    r"IAM_ROLE_SCOPES='.*'": "a setting; tests/unit/test_settings.py reads such a value",
}
"""Why a command is not run as it stands. What can be checked of it is checked below."""

ALL: Final = commands()


TYPED_ELSEWHERE: Final = {
    "docker/ecs/README.md": "tests/integration/test_ecs_walk.py types it",
    "tests/browser/workshop/README.md": "needs the internet; test_workshop.py walks our own pages",
}
"""Pages for a shell of their own."""


def reason_of(command: Command) -> str | None:
    if command.page in TYPED_ELSEWHERE:
        return TYPED_ELSEWHERE[command.page]
    return next((why for form, why in REASONS.items() if re.fullmatch(form, command.text)), None)


def test_every_command_is_run_or_has_a_reason() -> None:
    assert len(ALL) > 40
    run = {command.text for command in typed()}
    assert [str(each) for each in ALL if each.text not in run and not reason_of(each)] == []


def test_every_reason_is_needed() -> None:
    for form in REASONS:
        assert any(re.fullmatch(form, command.text) for command in ALL), form


def typed() -> list[Command]:
    """The commands that a reader types into the shell."""
    return [command for command in ALL if command.page in IN_A_SHELL and not reason_of(command)]


def targets() -> Iterator[str]:
    for command in ALL:
        if command.text.startswith("make ") or " make " in command.text:
            yield command.text


@pytest.mark.parametrize("command", sorted(set(targets())))
def test_make_knows_the_target_and_what_to_do(command: str) -> None:
    dry = re.sub(r"\bmake\b", "make --dry-run", command, count=1)
    done = subprocess.run(["sh", "-c", dry], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", sorted({c.text for c in ALL if "tests.load.bench" in c.text}))
def test_the_measurement_of_a_command_exists(command: str) -> None:
    words = command.split()
    module = words[words.index("-m") + 1]
    assert importlib.util.find_spec(module)
    for name in words[words.index("-m") + 2 :]:
        if name.isalpha() and module == "tests.load.bench":
            assert importlib.util.find_spec(f"{module}.{name}")


DEPLOYMENTS: Final = [c.text for c in ALL if c.text.startswith("aws cloudformation deploy ")]


def parameters_given(command: str) -> set[str]:
    return set(re.findall(r"(\w+)=", command.partition("--parameter-overrides")[2]))


@pytest.mark.parametrize("number", range(len(DEPLOYMENTS)))
def test_a_stack_takes_the_parameters_that_its_command_gives(number: int) -> None:
    command = DEPLOYMENTS[number]
    (path,) = re.findall(r"--template-file (\S+)", command)
    template, faults = decode(str(PROJECT / path))
    assert not faults
    parameters = template["Parameters"]
    assert parameters_given(command) <= parameters.keys()
    # An update keeps the values that the stack was created with.
    same = [each for each in DEPLOYMENTS[: number + 1] if f"--template-file {path}" in each]
    kept = set[str]().union(*map(parameters_given, same))
    required = {name for name, each in parameters.items() if "Default" not in each}
    assert required <= kept or command.partition("#")[0].rstrip().endswith("…")


def aws_calls() -> list[tuple[str, str]]:
    """Every call of the AWS CLI with its page, with the values of the page's variables."""
    found = []
    for page in sorted({command.page for command in ALL}):
        texts = [command.text for command in ALL if command.page == page]
        assigned = dict(
            match.groups() for text in texts if (match := re.fullmatch(r'(\w+)="([^`]*)"', text))
        )
        for text in texts:
            for call in calls_in(text):
                for name, value in assigned.items():
                    call = call.replace(f'"${name}"', f'"{value}"')
                found.append((page, call))
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("page", "call"), aws_calls())
def test_an_operation_of_aws_takes_the_options_that_its_command_gives(page: str, call: str) -> None:
    assert faults_of(read(call)) == [], page


STACKS: Final = {
    match[1]: match[2]
    for command in DEPLOYMENTS
    if (match := re.search(r"--stack-name (\S+) --template-file (\S+)", command))
}


def test_an_output_that_a_command_takes_is_one_of_its_stack() -> None:
    taken = {
        pair for command in ALL for pair in re.findall(r"\$\(output ([\w-]+) (\w+)\)", command.text)
    }
    assert len(taken) > 20
    for stack, name in taken:
        template, _ = decode(str(PROJECT / STACKS[stack]))
        assert name in template["Outputs"], f"{stack} has no output {name}"


@pytest.mark.parametrize("command", DEPLOYMENTS)
def test_a_deployment_grants_what_its_template_needs(command: str) -> None:
    (path,) = re.findall(r"--template-file (\S+)", command)
    text = (PROJECT / path).read_text()
    wanted = {"CAPABILITY_IAM"} if "AWS::IAM::" in text else set()
    if "\nTransform:" in text:
        wanted.add("CAPABILITY_AUTO_EXPAND")
    given = set(re.findall(r"CAPABILITY_\w+", command))
    # A larger template goes by S3 (AWS, "CloudFormation quotas").
    assert len(text.encode()) <= 51_200 or " --s3-bucket " in command
    assert given == wanted


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the working tree, with the installed environments of this one."""
    copy = tmp_path / "checkout"
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True)
    for name in filter(str.strip, listed.stdout.splitlines()):
        if (PROJECT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, copy / name)
    (copy / ".venv").symlink_to(PROJECT / ".venv")
    (copy / ".local").mkdir()
    (copy / ".local" / "venv").symlink_to(PROJECT / ".local" / "venv")
    return copy


def environment() -> dict[str, str]:
    """The environment of a shell, with free ports; nothing is installed again."""
    first = Ports(*(free_port() for _ in range(5)))
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "USER": "somebody",
        "MAKEFLAGS": "-- INSTALL=true",
        "PORT": str(first.web),
        "AWS_PORT": str(first.aws),
        "REDIS_PORT": str(first.redis),
        "MONITOR_PORT": str(first.monitor),
        "ROADS_PORT": str(first.roads),
        "HERD_SPEED": "500",
        "SUBJECT": str(uuid.uuid4()),
    }


START: Final = re.compile(r"((?:[A-Z_]+=\S+ )*make run)( ARGS=--detach)?")


def script() -> str:
    """All commands, each after a line that names its page; stops at the first that fails."""
    lines = ["set -eu"]
    for command in typed():
        start = START.fullmatch(command.text)
        text = f"make stop; {start[1]} ARGS=--detach" if start else command.text
        lines += [f"echo '>>> {command.page}'", text]
    return "\n".join([*lines, "make stop"])


def test_the_pages_commands_work_as_printed(checkout: Path) -> None:
    """Only `make run` is changed: it runs detached and after a `make stop`, so that it returns."""
    shell = ["bash", "-c", script()]
    try:
        done = subprocess.run(
            shell, cwd=checkout, env=environment(), capture_output=True, text=True, timeout=350
        )
    finally:
        subprocess.run(["make", "stop"], cwd=checkout, env=environment(), capture_output=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "HTTP/1.1 20" in done.stdout
