"""Resolves a template as CloudFormation does: parameters, look-ups and conditions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.support.templates import template, written_out

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "rides-stack",
    "AWS::URLSuffix": "amazonaws.com",
}


def resources_of(name: str, **parameters: str) -> Mapping[str, Any]:
    """The resources of a template, with these parameters and the defaults of the others.

    A reference to a resource becomes the resource's name, as in `Topic` or `Topic.Arn`.
    """
    defaults = {
        key: each["Default"]
        for key, each in template(name)["Parameters"].items()
        if "Default" in each
    }
    return _Stack(written_out(name), {**PSEUDO, **defaults, **parameters}).resources()


class _Stack:
    def __init__(self, template: Any, values: Mapping[str, Any]) -> None:
        self._template = template
        self._values = values

    def resources(self) -> Mapping[str, Any]:
        return {
            name: self._resolved(each)
            for name, each in self._template["Resources"].items()
            if self._holds(each.get("Condition"))
        }

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self._resolved(self._template["Conditions"][condition]))

    def _resolved(self, part: Any) -> Any:
        if isinstance(part, list):
            decided = [self._resolved(each) for each in part]
            return [each for each in decided if each is not None]
        if not isinstance(part, Mapping):
            return part
        if len(part) == 1:
            ((function, value),) = part.items()
            call = getattr(self, f"_{function.rpartition('::')[2].lower()}_function", None)
            if call:
                return call(value)
        decided = {key: self._resolved(value) for key, value in part.items()}
        return {key: value for key, value in decided.items() if value is not None}

    def _ref_function(self, name: str) -> Any:
        return None if name == "AWS::NoValue" else self._values.get(name, name)

    def _getatt_function(self, path: Any) -> str:
        return path if isinstance(path, str) else ".".join(path)

    def _sub_function(self, value: Any) -> str:
        text, own = (value, {}) if isinstance(value, str) else value
        known = {**self._values, **{name: self._resolved(each) for name, each in own.items()}}
        text = re.sub(r"\$\{([^!}]+)\}", lambda found: str(known.get(found[1], found[1])), text)
        return text.replace("${!", "${")

    def _findinmap_function(self, path: Any) -> Any:
        name, first, second = (self._resolved(each) for each in path[:3])
        return self._template["Mappings"][name][first][second]

    def _if_function(self, value: Any) -> Any:
        condition, then, otherwise = value
        return self._resolved(then if self._holds(condition) else otherwise)

    def _equals_function(self, value: Any) -> bool:
        first, second = self._resolved(value)
        return bool(first == second)

    def _not_function(self, value: Any) -> bool:
        return not self._resolved(value[0])

    def _or_function(self, value: Any) -> bool:
        return any(self._resolved(value))

    def _and_function(self, value: Any) -> bool:
        return all(self._resolved(value))

    def _condition_function(self, name: str) -> bool:
        return self._holds(name)
