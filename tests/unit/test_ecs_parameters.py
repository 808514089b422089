"""A wrong parameter is refused by service.yaml itself, with words, before anything is created."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies
from pydantic import ValidationError

from service.local.templates import Template
from service.settings import ApiSettings, read
from tests.support.templates import STACKS, resources, template
from tests.unit.test_ecs_templates import REQUIRED, containers

PARAMETERS: Final[Mapping[str, Any]] = template("service.yaml")["Parameters"]

SETTINGS: Final[Mapping[str, str]] = {
    pair["Value"]["Ref"]: pair["Name"]
    for container in containers().values()
    for pair in container["Environment"]
    if isinstance(pair["Value"], Mapping) and pair["Value"]["Ref"] in PARAMETERS
}
"""The setting that each parameter becomes."""

ODD: Final = (
    *("", " ", "-1", "0", "1", "00", "1.5", "1e3", "1 ", "٣", "301", "5001", "10000000000", "nan"),
    *("3601", "7201", "36501", "86401", "90000", "315360001", "400000000"),
    *("true", "True", "false", "yes", "debug", "TRACE", '"quoted"', "it's", "'a", "a\nb", "a b"),
    *("3000", "0/minute", "3000/day", "3000 / minute", "http://a", "https://a/", "https://A"),
    *("https://a:443", "https://a b", "ftp://a", "//a", "https://", "*", "null", "https://a,"),
    *("a,b", "a,b,c", "a, b, c", "a,b,c,d", ",", "91,0", "0,181", "40.7", "40.7,x", "40,-74,1"),
    *("{}", "[]", "{", '{"a":["wildrydes/admin"]}', "us-east-1_Ab", "nowhere_Ab", "ab", "x" * 300),
    *("https://a/{z}/{x}/{y}.png", "https://a/{z}/{x}.png", "http://a/{z}/{x}/{y}", "http://a:1"),
)


def is_taken(name: str, value: str) -> bool:
    """Whether the template takes this value of the parameter."""
    faults = Template("service.yaml", {name: value}).faults()
    return not any(fault.startswith(f"{name}: ") for fault in faults)


def refusal(name: str, value: str) -> str | None:
    """Why the service would refuse the parameter's value at its start; None if it takes it."""
    environment = REQUIRED | {SETTINGS[name]: value}
    if name == "PageClientIds" and value:
        environment["COGNITO_CLIENT_IDS"] = value
    try:
        read(ApiSettings, environment)
    except ValidationError as error:
        return str(error)
    return None


def shortened(pattern: str) -> str:
    """A pattern for the shorter matches of this one: long texts take seconds to generate."""
    return re.sub(r"\{(\d+),\d+\}", lambda found: f"{{{found[1]},{int(found[1]) + 1}}}", pattern)


@pytest.mark.parametrize("name", SETTINGS)
@settings(
    max_examples=10,
    database=None,
    deadline=None,
    derandomize=True,
    # Explaining and shrinking take a minute, and a wrong text says enough.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(data=strategies.data())
def test_what_the_template_takes_the_service_takes_too(
    name: str, data: strategies.DataObject
) -> None:
    parameter = PARAMETERS[name]
    if "AllowedValues" in parameter:
        value = data.draw(strategies.sampled_from(list(parameter["AllowedValues"])))
    else:
        form = strategies.from_regex(shortened(parameter["AllowedPattern"]), fullmatch=True)
        value = data.draw(form.filter(lambda text: is_taken(name, text)))
    assert refusal(name, value) is None


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_service_refuses_the_template_refuses_first(name: str) -> None:
    wrong = [value for value in ODD if refusal(name, value)]
    assert [value for value in wrong if is_taken(name, value)] == []


TOLD: Final = {name for stack in STACKS for name in template(stack).get("Outputs", ())}
"""What another stack tells, so that nobody types it."""


@pytest.mark.parametrize("stack", STACKS)
def test_parameters_that_people_type_have_a_pattern_and_a_description(stack: str) -> None:
    for name, parameter in template(stack)["Parameters"].items():
        is_text = parameter["Type"] in {"String", "CommaDelimitedList"}
        if is_text and "AllowedValues" not in parameter and name not in TOLD:
            assert parameter.get("AllowedPattern"), name
            assert parameter.get("ConstraintDescription") or parameter.get("Description"), name


@pytest.mark.parametrize("stack", STACKS)
def test_each_default_is_taken(stack: str) -> None:
    faults = Template(stack).faults()
    assert [fault for fault in faults if not fault.endswith(": is missing")] == []


@pytest.mark.parametrize(
    ("stack", "name", "value"),
    [
        ("data.yaml", "RiderUrls", "http://rides.example.com/"),
        ("data.yaml", "ConsoleUrls", "https://rides.example.com/#console"),
        ("data.yaml", "LoginDomain", "Rides"),
        ("data.yaml", "SenderAddress", "rides.example.com"),
        ("identity.yaml", "AllowedEmailDomains", "example.com, example.org"),
        ("identity.yaml", "UserDirectory", "directory.find"),
        ("identity.yaml", "AlarmTopic", "operators"),
        ("roads.yaml", "Image", "wildrydes-roads:latest"),
        ("roads.yaml", "Cpu", "1000"),
    ],
)
def test_a_wrong_input_of_another_stack_is_refused(stack: str, name: str, value: str) -> None:
    assert any(fault.startswith(f"{name}: ") for fault in Template(stack, {name: value}).faults())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Image", "wildrydes-dispatch:latest"),
        ("CertificateArn", "arn:aws:iam::123456789012:server-certificate/a"),
        ("CacheNodeType", "t4g.small"),
        ("PublicUrl", "https://rides.example.com/"),
        ("Architecture", "x86"),
        ("WebSize", "256/4096"),
        ("LogRetentionDays", "31"),
    ],
)
def test_a_wrong_input_of_the_stack_is_refused(name: str, value: str) -> None:
    assert not is_taken(name, value)


def needs(**values: str) -> list[str]:
    """The texts of the template's rules that these values break."""
    return [fault for fault in Template("service.yaml", values).faults() if "needs" in fault]


def test_parameters_that_need_another_one_say_so() -> None:
    pool = "us-east-1:01234567-89ab-cdef-0123-456789abcdef"
    assert needs() == needs(PhotosBucket="photos", IdentityPoolId=pool) == []
    (photos,), (pages,) = needs(PhotosBucket="photos"), needs(PageClientIds="a,b,c")
    assert photos.startswith("PhotosBucket needs IdentityPoolId")
    assert pages.startswith("PageClientIds needs LoginUrl")


def test_one_worker_never_runs_on_spot() -> None:
    strategy = resources("service.yaml", "AWS::ECS::Service")["WorkerService"]
    _, on_spot, otherwise = strategy["CapacityProviderStrategy"]["Fn::If"]
    assert {each["CapacityProvider"]: each.get("Base", 0) for each in on_spot} == {
        "FARGATE": 1,
        "FARGATE_SPOT": 0,
    }
    assert [each["CapacityProvider"] for each in otherwise] == ["FARGATE"]
    assert containers()["worker"]["StopTimeout"] == 120
