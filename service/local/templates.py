"""Evaluates a CloudFormation template: checks its parameters, and resolves its functions.

It supports only the functions that the templates of docker/ecs use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parents[2] / "docker" / "ecs"
NO_VALUE: Final = object()
"""The value of `AWS::NoValue`: CloudFormation leaves the part out."""

_SHORT: Final = {"Ref": "Ref", "Condition": "Condition"}
_PSEUDO: Final = {
    "AWS::AccountId": "123456789012",
    "AWS::NoValue": NO_VALUE,
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::URLSuffix": "amazonaws.com",
}


class _Loader(yaml.SafeLoader):
    """Reads short forms, such as `!Ref Image`, as the long ones."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = _SHORT.get(suffix, f"Fn::{suffix}")
    match node:
        case yaml.ScalarNode(value=text):
            return {name: text.split(".", 1) if suffix == "GetAtt" else text}
        case yaml.SequenceNode():
            return {name: loader.construct_sequence(node, deep=True)}
        case yaml.MappingNode():
            return {name: loader.construct_mapping(node, deep=True)}
    raise TypeError(node)


_Loader.add_multi_constructor("!", _long_form)


@cache
def _parsed(name: str) -> Any:
    return yaml.load((FOLDER / name).read_text(), _Loader)  # noqa: S506 - it is a SafeLoader


class Template:
    """A template with values for its parameters.

    `resources`: the physical names of resources, by logical name or `Name.Attribute`; a resource
    that is not given keeps its logical name.
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, str] | None = None,
        *,
        resources: Mapping[str, str] | None = None,
        stack: str = "rides",
    ) -> None:
        self.parsed = _parsed(name)
        self.parameters: Mapping[str, Any] = self.parsed["Parameters"]
        self._given = dict(values or {})
        self._values = {
            key: str(each["Default"]) for key, each in self.parameters.items() if "Default" in each
        } | self._given
        self._values_by_name: dict[str, Any] = {
            **_PSEUDO,
            "AWS::StackName": stack,
            **(resources or {}),
        }

    def faults(self) -> list[str]:
        """The reasons why CloudFormation would refuse the values; empty if it accepts them."""
        unknown = [f"{name}: no such parameter" for name in self._given.keys() - self.parameters]
        wrong = [
            f"{name}: {fault}"
            for name in self.parameters
            if (fault := self._fault_of(name)) is not None
        ]
        return sorted(unknown) + wrong + self._broken_rules()

    def _fault_of(self, name: str) -> str | None:
        if name not in self._values:
            return "is missing"
        value, parameter = self._values[name], self.parameters[name]
        allowed = [str(each) for each in parameter.get("AllowedValues", ())]
        if allowed and value not in allowed:
            return f"must be one of {', '.join(allowed)}"
        longest = parameter.get("MaxLength", 4096)  # CloudFormation's own limit
        if len(value) > longest:
            return f"must not be longer than {longest}"
        parts = value.split(",") if parameter["Type"] == "CommaDelimitedList" else [value]
        pattern = parameter.get("AllowedPattern", ".*")
        if not all(re.fullmatch(pattern, part, re.DOTALL) for part in parts):
            return str(parameter.get("ConstraintDescription", f"must match {pattern}"))
        return None

    def _broken_rules(self) -> list[str]:
        return [
            str(each["AssertDescription"])
            for rule in self.parsed.get("Rules", {}).values()
            if "RuleCondition" not in rule or self.resolve(rule["RuleCondition"])
            for each in rule["Assertions"]
            if not self.resolve(each["Assert"])
        ]

    def properties(self, logical_name: str) -> Any:
        """The properties of a resource, resolved."""
        return self.resolve(self.parsed["Resources"][logical_name]["Properties"])

    def resolve(self, part: Any) -> Any:
        """The part with its functions resolved. Raises `KeyError` for an unsupported function."""
        if isinstance(part, list):
            return [value for each in part if (value := self.resolve(each)) is not NO_VALUE]
        if not isinstance(part, Mapping):
            return part
        if len(part) == 1:
            ((name, argument),) = part.items()
            if name in ("Ref", "Condition") or name.startswith("Fn::"):
                return self._function(name, argument)
        resolved = {key: self.resolve(value) for key, value in part.items()}
        return {key: value for key, value in resolved.items() if value is not NO_VALUE}

    def _function(self, name: str, argument: Any) -> Any:
        match name, argument:
            case "Ref", _:
                return self._named(argument)
            case "Condition", _:
                return self.resolve(self.parsed["Conditions"][argument])
            case "Fn::GetAtt", _:
                name = argument if isinstance(argument, str) else ".".join(argument)
                return self._values_by_name.get(name, name)
            case "Fn::Sub", _:
                text, own = (argument, {}) if isinstance(argument, str) else argument
                return self._substituted(text, self.resolve(own))
            case "Fn::FindInMap", [mapping, first, second, *_]:
                found = self.parsed["Mappings"][mapping]
                return found[self.resolve(first)][self.resolve(second)]
            case "Fn::If", [condition, then, otherwise]:
                return self.resolve(then if self._function("Condition", condition) else otherwise)
            case (("Fn::EachMemberEquals" | "Fn::ValueOf"), _):
                # These functions ask about the account's network; `deploy_check` checks it there.
                return True
        return self._calculated(name, self.resolve(argument))

    def _calculated(self, name: str, values: Any) -> Any:
        match name:
            case "Fn::Equals":
                # Parameters are texts, and a number is compared with them as its text.
                return str(values[0]) == str(values[1])
            case "Fn::Not":
                return not values[0]
            case "Fn::And":
                return all(values)
            case "Fn::Or":
                return any(values)
            case "Fn::Join":
                return values[0].join(values[1])
            case "Fn::Split":
                return values[1].split(values[0])
            case "Fn::Select":
                return values[1][int(values[0])]
        raise KeyError(name)

    def _substituted(self, text: str, own: Mapping[str, Any]) -> str:
        """The text with its `${Name}` replaced; `${!Name}` stands for `${Name}` itself."""

        def value(found: re.Match[str]) -> str:
            name = found[1]
            return str(own[name] if name in own else self._named(name))

        return re.sub(r"\$\{([^!}]+)\}", value, text).replace("${!", "${")

    def _named(self, name: str) -> Any:
        if name not in self._values:
            return self._values_by_name.get(name, name)
        value, kind = self._values[name], self.parameters[name]["Type"]
        is_list = kind.startswith("List<") or kind == "CommaDelimitedList"
        return [part for part in value.split(",") if part] if is_list else value
