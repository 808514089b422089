"""Runs checkov, cfn-guard and hadolint, and reads their findings."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.infrastructure import PROJECT
from tests.support.templates import ECS, with_conditions, with_values, written_out

DOCKERFILES: Final = ("docker/Dockerfile", "docker/roads/Dockerfile")
GUARD: Final = "@cdklabs/cdk-validator-cfnguard@0.0.62"
"""An npm package with cfn-guard's program and the proactive controls of AWS Control Tower."""
FORMER: Final = {"IsStep1", "IsStep2", "IsStep3", "IsStep4", "BeforeStep3"}
"""Conditions of data.yaml that hold only while a stack of the previous release is taken over."""

EXAMPLES: Final = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "rides",
    "AWS::URLSuffix": "amazonaws.com",
    "DeletionProtection": "true",
    "CertificateArn": "arn:aws:acm:us-east-1:111122223333:certificate/example",
    "KeyArn": "arn:aws:kms:us-east-1:111122223333:key/example",
    "UserPoolId": "us-east-1_Example",
}
"""Values for parameters without a default, because the rules cannot resolve references."""


class Finding(NamedTuple):
    """One finding of a tool: its rule, and the file and resource."""

    rule: str
    file: str
    resource: str


def write_templates(folder: Path) -> None:
    """Write each template as JSON, as the README deploys it: with key, access logs and the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(ECS.glob("*.yaml")):
        parsed = written_out(path.name)
        hold = parsed.get("Conditions", {}).keys() - FORMER
        given = {
            name: each["Default"]
            for name, each in parsed.get("Parameters", {}).items()
            if "Default" in each
        }
        decided = with_conditions(parsed, hold) | {"Conditions": parsed.get("Conditions", {})}
        decided["Resources"] = with_values(decided["Resources"], given | EXAMPLES)
        (folder / f"{path.stem}.json").write_text(json.dumps(decided, indent=1))


def install(home: Path) -> None:
    """Install the Python tools into an environment of their own: checkov pins other versions."""
    tools = Path(__file__).with_name("requirements.txt")
    uv = str(Path(sys.executable).with_name("uv"))
    _run([uv, "venv", "--quiet", "--allow-existing", str(home)])
    python = str(home / "bin" / "python")
    _run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, str(tools)])


def checkov(home: Path, templates: Path) -> Iterator[Finding]:
    """Its findings in the templates and the Dockerfiles."""
    common = ["--quiet", "--compact", "--skip-download", "--output", "json", "--soft-fail"]
    files = [part for name in DOCKERFILES for part in ("--file", str(PROJECT / name))]
    for kind, what in (("cloudformation", ["--directory", str(templates)]), ("dockerfile", files)):
        command = [str(home / "bin" / "checkov"), "--framework", kind, *common, *what]
        report = json.loads(_run(command))
        assert not report.get("results", {}).get("parsing_errors"), report
        for found in report.get("results", {}).get("failed_checks", ()):
            name = Path(found["file_path"]).stem
            yield Finding(found["check_id"], name, found["resource"].rpartition(".")[2])


def hadolint(home: Path) -> Iterator[Finding]:
    """Its findings in the Dockerfiles."""
    command = [str(home / "bin" / "hadolint"), "--no-fail", "--format", "json"]
    for found in json.loads(_run([*command, *(str(PROJECT / name) for name in DOCKERFILES)])):
        name = Path(found["file"]).relative_to(PROJECT).as_posix()
        yield Finding(found["code"], name, f"line {found['line']}")


def guard(home: Path, templates: Path) -> Iterator[Finding]:
    """The findings of cfn-guard with the rules of AWS Control Tower; needs npm."""
    npm = shutil.which("npm")
    if npm is None:
        print("cfn-guard not run: it comes from npm, which is not installed", file=sys.stderr)
        return
    _run(
        [npm, "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", str(home), GUARD]
    )
    package = home / "node_modules" / GUARD.rpartition("@")[0]
    machine = "aarch64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    command = [str(package / "bin" / "ubuntu" / machine / "cfn-guard"), "validate"]
    rules = ["--rules", str(package / "rules" / "control-tower" / "cfn-guard")]
    output = ["--structured", "--output-format", "json", "--show-summary", "none"]
    report = _run([*command, *rules, "--data", str(templates), *output], (0, 19))
    for file in json.loads(report):
        for failed in file["not_compliant"]:
            for resource in sorted(_resources_in(failed)):
                yield Finding(failed["Rule"]["name"], Path(file["name"]).stem, resource)


def _resources_in(part: Any) -> set[str]:
    """The resources in a report of cfn-guard: the first name of each path."""
    if isinstance(part, Mapping):
        path = part.get("path")
        if isinstance(path, str) and path.startswith("/Resources/"):
            return {path.split("/")[2]}
        return set().union(*map(_resources_in, part.values()))
    return set().union(*map(_resources_in, part)) if isinstance(part, list) else set()


def _run(command: Iterable[str], codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(list(command), capture_output=True, text=True)
    assert done.returncode in codes, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
