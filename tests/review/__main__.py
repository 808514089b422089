"""Compares the findings of three tools with the answers in docker/ecs/SECURITY.md.

Exit code 1 if a finding has no answer there, or an answer has no finding any more.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from tests.review import tools
from tests.review.tools import Finding
from tests.support.infrastructure import PROJECT
from tests.support.templates import ECS

PAGE: Final = ECS / "SECURITY.md"
HOME: Final = PROJECT / ".local" / "review"
ROW: Final = re.compile(r"^\| `([\w.]+)` \| `([\w./-]+)`: `([^`]+)` \| \S", re.M)


def answers() -> list[Finding]:
    """One answer of the page: rule, file and a pattern of resource names."""
    return [Finding(*row) for row in ROW.findall(PAGE.read_text())]


def is_answered(finding: Finding, answer: Finding) -> bool:
    """Whether the answer is about this finding."""
    same = (finding.rule, finding.file) == (answer.rule, answer.file)
    return same and any(fnmatchcase(finding.resource, p) for p in answer.resource.split(", "))


def unanswered(findings: Iterable[Finding], given: Iterable[Finding]) -> list[Finding]:
    """The findings without an answer."""
    given = list(given)
    return [each for each in findings if not any(is_answered(each, one) for one in given)]


def outdated(findings: Iterable[Finding], given: Iterable[Finding]) -> list[Finding]:
    """The answers that have no finding any more."""
    findings = list(findings)
    return [one for one in given if not any(is_answered(each, one) for each in findings)]


def main() -> int:
    tools.install(HOME)
    templates = HOME / "templates"
    tools.write_templates(templates)
    by_guard = sorted(set(tools.guard(HOME, templates)))
    found = {*tools.checkov(HOME, templates), *tools.hadolint(HOME), *by_guard}
    given = [one for one in answers() if by_guard or not one.rule.endswith("_check")]
    new, old = unanswered(sorted(found), given), outdated(found, given)
    for each in new:
        print(f"no answer in {PAGE.name}: {each.rule} in {each.file}, {each.resource}")
    for each in old:
        print(f"no finding any more: {each.rule} in {each.file}, {each.resource}")
    print(f"{len(found)} findings, {len(found) - len(new)} answered")
    return 1 if new or old else 0


if __name__ == "__main__":
    sys.exit(main())
