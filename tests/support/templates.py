"""The CloudFormation templates of docker/ecs, as CloudFormation would see them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, Final

from cfnlint.decode import decode
from cfnlint.template import Template as LintTemplate
from cfnlint.template.transforms._language_extensions import language_extension

from service.local.templates import Template
from tests.support.infrastructure import PROJECT

ECS: Final = PROJECT / "docker" / "ecs"
STACKS: Final = sorted(path.name for path in ECS.glob("*.yaml"))


@cache
def template(name: str) -> Any:
    """The template in this file, as it is written."""
    parsed, faults = decode(str(ECS / name))
    assert not faults
    return parsed


@cache
def written_out(name: str) -> Any:
    """The template in this file, with its loops written out."""
    parsed = template(name)
    if "Transform" not in parsed:
        return parsed
    faults, unrolled = language_extension(LintTemplate(str(ECS / name), parsed, ["us-east-1"]))
    assert not faults
    return unrolled


def of_kind(found: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The properties of the resources of one type, by their names."""
    return {name: each["Properties"] for name, each in found.items() if each["Type"] == kind}


def resources(name: str, kind: str) -> Mapping[str, Any]:
    """The properties of a template's resources of one type, by their names in it."""
    return of_kind(written_out(name)["Resources"], kind)


def resources_of(name: str, **names: str) -> Mapping[str, Any]:
    """The resources of a template: `names` has values of parameters and names of resources.

    A parameter that is not named has its default. A reference to a resource that is not named
    becomes its logical name, as in `Topic` or `Topic.Arn`.
    """
    declared = template(name)["Parameters"]
    values = {key: value for key, value in names.items() if key in declared}
    stack = Template(name, values, resources=names, stack="rides-stack")
    stack.parsed = written_out(name)
    return {
        key: stack.resolve(each)
        for key, each in stack.parsed["Resources"].items()
        if "Condition" not in each or stack.resolve({"Condition": each["Condition"]})
    }


def with_conditions(part: Any, hold: Collection[str]) -> Any:
    """The part of a template with its conditions decided: only those named hold."""
    if isinstance(part, Mapping):
        if "Fn::If" in part:
            name, then, otherwise = part["Fn::If"]
            return with_conditions(then if name in hold else otherwise, hold)
        return {key: with_conditions(value, hold) for key, value in part.items()}
    if isinstance(part, list):
        decided = (with_conditions(each, hold) for each in part)
        return [each for each in decided if each != {"Ref": "AWS::NoValue"}]
    return part


def with_values(part: Any, values: Mapping[str, Any]) -> Any:
    """The part of a template with these parameters and pseudo parameters put in."""
    if isinstance(part, Mapping):
        name = part.get("Ref")
        if isinstance(name, str) and name in values:
            return values[name]
        if part.keys() == {"Fn::Sub"} and isinstance(part["Fn::Sub"], str):
            text = re.sub(r"\$\{([^!}]+)\}", lambda m: _value(m, values), part["Fn::Sub"])
            return {"Fn::Sub": text} if "${" in text else text
        return {key: with_values(value, values) for key, value in part.items()}
    return [with_values(each, values) for each in part] if isinstance(part, list) else part


def _value(name: re.Match[str], values: Mapping[str, Any]) -> str:
    return str(values.get(name[1], name[0]))
