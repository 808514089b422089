"""The walk of docker/ecs/README.md, typed into a shell whose AWS is the emulator."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from service.local import triggers
from tests.support.aws_account import Account
from tests.support.aws_cli import Cli, programs
from tests.support.documents import Command, commands
from tests.support.infrastructure import PROJECT, wait_until

pytestmark = pytest.mark.timeout(300)

PAGE: Final = "docker/ecs/README.md"
WALK: Final = [command for command in commands() if command.page == PAGE]

NOT_TYPED: Final[Mapping[str, str]] = {
    r"curl .*": "there is no balancer behind the emulator's",
    r"make .*": "tests/integration/test_documents.py asks make what it would do",
    r"python -m .*": "tests/integration/test_command.py",
    r"aws (logs tail|ecs execute-command|ecs wait tasks-stopped) .*": "no container runs",
    r"aws amp .*": "the emulator has no Managed Prometheus",
    r"aws cloudformation (cancel-update-stack|continue-update-rollback) .*": (
        "nothing hangs and nothing failed"
    ),
}
"""Commands that the test leaves out, each with its reason."""


def is_typed(command: Command) -> bool:
    return not any(re.fullmatch(form, command.text) for form in NOT_TYPED)


def test_every_reason_is_needed() -> None:
    for form in NOT_TYPED:
        assert any(re.fullmatch(form, command.text) for command in WALK), form


BUILDS: Final = [
    command.text.rpartition(" | ")[2]
    for command in WALK
    if re.search(r"docker (buildx )?build ", command.text)
]


@pytest.mark.parametrize("build", BUILDS)
def test_an_image_is_built_from_what_is_there_for_a_platform_that_a_task_may_have(
    build: str,
) -> None:
    words = shlex.split(build)
    options = dict(itertools.pairwise(words))
    assert options["--platform"] == "linux/amd64"
    for path in (words[-1], options.get("--file", "-")):
        assert path == "-" or path.startswith("$") or (PROJECT / path).exists(), path


class Docker:
    """Pushes only a manifest, because the repository stores no other fact about an image."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def run(self, words: Sequence[str]) -> str:
        pushed = {
            "buildx": words[words.index("--tag") + 1] if "--tag" in words else "",
            "push": words[-1],
        }
        if words[1] in pushed:
            _, _, name = pushed[words[1]].partition("/")
            repository, _, tag = name.partition(":")
            manifest = '{"schemaVersion": 2, "config": {}, "layers": []}'
            self._account.client("ecr").put_image(
                repositoryName=repository, imageTag=tag, imageManifest=manifest
            )
        return ""


def test_the_walk_works_as_printed(tmp_path: Path) -> None:
    with Account(tmp_path / "aws") as account:
        cli, docker = Cli(account, tmp_path), Docker(account)
        (tmp_path / ".local").mkdir()
        (tmp_path / ".local" / "triggers.zip").write_bytes(triggers.archive())
        zone = account.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
        zone_id = zone["HostedZone"]["Id"].rpartition("/")[2]
        typed = "\n".join(command.text for command in filter(is_typed, WALK))
        assert "ZONE=Z0123456789EXAMPLE" in typed
        with programs({"aws": cli.run, "docker": docker.run}) as folder:
            done = subprocess.run(
                ["bash", "-euxo", "pipefail", "-c", typed.replace("Z0123456789EXAMPLE", zone_id)],
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                env={"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path)},
                capture_output=True,
                text=True,
                timeout=280,
            )
        assert done.returncode == 0, done.stderr[-4000:]
        assert cli.done.count("cloudformation deploy") > 10
        wait_until(lambda: stacks_left(account) == [], "the teardown of all stacks")


def stacks_left(account: Account) -> list[str]:
    """Names of the stacks that exist."""
    stacks = account.client("cloudformation").list_stacks()["StackSummaries"]
    return [each["StackName"] for each in stacks if each["StackStatus"] != "DELETE_COMPLETE"]
