"""The resources of a template as CloudFormation makes them, with its loops written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.local.templates import Template
from tests.support.templates import written_out


def resources_of(name: str, **given: str) -> Mapping[str, Any]:
    """The resources of a template. `given`: values of parameters, and names of resources.

    A parameter that is not given has its default; a resource has its name in the template, as in
    `Topic` or `Topic.Arn`.
    """
    written = written_out(name)
    values = {key: value for key, value in given.items() if key in written["Parameters"]}
    template = Template(name, values, resources=given, stack="rides-stack")
    template.parsed = written
    return {
        name: template.resolve(each)
        for name, each in written["Resources"].items()
        if "Condition" not in each or template.resolve({"Condition": each["Condition"]})
    }
