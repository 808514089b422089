"""Numbers of the templates lie within the bounds that AWS sets or the service needs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import pytest

from tests.support.templates import ECS, STACKS, resources, template, written_out

PORTS: Final = (443, 5000, 5555, 6379, 8080)
"""HTTPS, the routing engine, the monitor, the cache, the API."""
BOUNDS: Final[Mapping[str, Collection[int]]] = {
    **dict.fromkeys(("ContainerPort", "FromPort", "Port", "ToPort"), PORTS),
    "AuthorizerResultTtlInSeconds": (0,),
    "Base": (1,),  # tasks that are never on Spot
    "DefaultValue": (0,),
    "DesiredCount": (1,),  # of services that are not scaled
    "ExpirationInDays": range(1, 8),  # uploads that were not cleaned are of no use
    "FailureThreshold": (1,),
    "HealthCheckGracePeriodSeconds": range(10, 61),
    "HttpCode": (200,),
    "MaxAge": range(60, 86_401),
    "MaximumPercent": (100, 200),
    "MemorySize": range(512, 1025),  # a cold start has to fit into the 5 s of a function's caller
    "MetricIntervalLowerBound": (0, 4),
    "MetricIntervalUpperBound": (4,),
    "MetricValue": (1,),
    "MinAdjustmentMagnitude": (1,),
    "MinimumHealthyPercent": (0, 50, 100),
    "NoncurrentDays": range(7, 91),
    "NumCacheClusters": (2,),  # one in each of two zones
    "PasswordLength": range(32, 129),  # ElastiCache takes 128 characters at most
    "RetryGracePeriodSeconds": range(1, 61),  # Cognito takes 60 at most
    "ScalingAdjustment": (50, 100),  # percent
    "SessionTimeout": range(900, 28_801),  # at most a working day
    "SnapshotRetentionLimit": (0,),
    "StopTimeout": range(10, 121),  # Fargate takes 120 at most
    "TargetValue": (5000,),  # requests a minute of one task
    "Timeout": range(3, 6),
    "TimeoutInMillis": (30_000,),  # the longest of an HTTP API
    "TTL": range(1, 61),
    "Weight": (1, 4),  # a task on demand for four on Spot
}
"""The numbers that a property may have, by its name."""
ELSEWHERE: Final = frozenset(
    (
        *("Cooldown", "Cpu", "DatapointsToAlarm", "EvaluationPeriods", "HealthyThresholdCount"),
        *("HealthCheckIntervalSeconds", "HealthCheckTimeoutSeconds", "Interval", "Memory"),
        *("ManagedLoginVersion", "MinCapacity", "MinimumLength", "Order", "PasswordHistorySize"),
        *("Period", "Priority", "RetentionInDays", "Retries", "ScaleInCooldown"),
        *("ScaleOutCooldown", "StartPeriod", "TemporaryPasswordValidityDays", "Threshold"),
        *("UnhealthyThresholdCount", "Value"),
    )
)
"""Properties whose numbers other tests compare, because they depend on each other."""
DEFAULTS: Final[Mapping[str, Mapping[str, int]]] = {
    "account.yaml": {"AccessLogDays": 90},
    "data.yaml": {"AccessTokenMinutes": 60, "RefreshTokenDays": 30, "TakeoverStep": 5},
    "firewall.yaml": {"RequestsPerAddress": 60_000},
    "gateway.yaml": {"BurstLimit": 2000, "RateLimit": 1000},
    "roads.yaml": {"Tasks": 2},  # one in each of two zones
    "scaling.yaml": {"MaxWebTasks": 20, "MaxWorkerTasks": 20},
}
"""The numbers that a stack takes if nobody says otherwise, except those of service.yaml."""
LONGEST: Final = {"MapAttribution": 200, "PublicUrl": 200, "UserPoolId": 55}
"""Characters of a parameter; Cognito's ids have 55 at most."""
RETENTION_DAYS: Final = 30


def numbers(part: Any) -> Iterator[tuple[str, int]]:
    """The numbers in a part of a template, with the names of their properties."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if type(value) is int or (isinstance(value, str) and value.isdecimal()):
                yield name, int(value)
            yield from numbers(value)
    elif isinstance(part, list):
        for each in part:
            yield from numbers(each)


@pytest.mark.parametrize("stack", STACKS)
def test_each_number_lies_within_its_bounds(stack: str) -> None:
    found = list(numbers(written_out(stack)["Resources"]))
    assert [pair for pair in found if pair[0] in BOUNDS and pair[1] not in BOUNDS[pair[0]]] == []


def test_each_number_has_bounds_and_every_bound_is_needed() -> None:
    names = {name for stack in STACKS for name, _ in numbers(written_out(stack)["Resources"])}
    assert names == BOUNDS.keys() | ELSEWHERE


@pytest.mark.parametrize("stack", STACKS)
def test_a_parameter_has_one_default_in_all_stacks(stack: str) -> None:
    """That of service.yaml, or its own."""
    of_service = template("service.yaml")["Parameters"]
    defaults = {
        name: str(parameter["Default"])
        for name, parameter in template(stack)["Parameters"].items()
        if "Default" in parameter
    }
    for name in defaults.keys() & of_service.keys():
        assert defaults[name] == str(of_service[name].get("Default", "")), name
    own = {
        name: int(value)
        for name, value in defaults.items()
        if template(stack)["Parameters"][name]["Type"] == "Number" and name not in of_service
    }
    assert own == DEFAULTS.get(stack, {})


@pytest.mark.parametrize("stack", STACKS)
def test_each_parameter_takes_what_it_should(stack: str) -> None:
    for name, parameter in template(stack)["Parameters"].items():
        assert parameter.get("MaxLength") == (LONGEST[name] if "MaxLength" in parameter else None)
        assert parameter.get("MinValue", 1) <= 15
        allowed = parameter.get("AllowedValues", [])
        if parameter["Type"] == "Number":
            assert allowed == sorted(set(allowed)), name


def test_a_firewall_counts_first_and_takes_what_aws_takes() -> None:
    (rules,) = resources("firewall.yaml", "AWS::WAFv2::WebACL").values()
    priorities = {rule["Name"]: rule["Priority"] for rule in rules["Rules"]}
    assert priorities == {"floods": 0, "known-attackers": 1, "known-attacks": 2}
    limit = template("firewall.yaml")["Parameters"]["RequestsPerAddress"]
    assert (limit["MinValue"], limit["MaxValue"]) == (10, 2_000_000_000)


def test_four_subnets_have_a_part_of_the_network_each() -> None:
    blocks = [each["CidrBlock"] for each in resources("network.yaml", "AWS::EC2::Subnet").values()]
    # Eight parts, so that there is room for more, with 12 bits of addresses each.
    parts = {"Fn::Cidr": [{"Ref": "Range"}, 8, 12]}
    assert blocks == [{"Fn::Select": [number, parts]} for number in range(4)]


def test_the_last_thirty_releases_are_kept() -> None:
    (images,) = resources("account.yaml", "AWS::ECR::Repository").values()
    (rule,) = json.loads(images["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rule["selection"]["countNumber"] == 30


def test_the_service_asks_the_routing_engine_for_as_much_as_it_answers() -> None:
    largest = template("roads.yaml")["Outputs"]["TravelTimesMaxTable"]["Value"]
    assert f"--max-table-size {largest} " in (ECS.parent / "roads" / "entrypoint").read_text()


@pytest.mark.parametrize("stack", STACKS)
def test_logs_are_kept_equally_long_by_default(stack: str) -> None:
    retention = template(stack)["Parameters"].get("LogRetentionDays", {"Default": RETENTION_DAYS})
    assert retention["Default"] == RETENTION_DAYS


@pytest.mark.parametrize("stack", STACKS)
def test_each_task_has_a_size_that_fargate_has(stack: str) -> None:
    for task in resources(stack, "AWS::ECS::TaskDefinition").values():
        cpu, memory = task["Cpu"], task["Memory"]
        if isinstance(cpu, str):
            assert int(memory) in MEMORY[int(cpu)]


MEMORY: Final = {
    256: {512, 1024, 2048},
    512: set(range(1024, 4097, 1024)),
    1024: set(range(2048, 8193, 1024)),
    2048: set(range(4096, 16385, 1024)),
    4096: set(range(8192, 30721, 1024)),
    8192: set(range(16384, 61441, 4096)),
    16384: set(range(32768, 122_881, 8192)),
}
"""MiB that Fargate combines with CPU units (Amazon ECS, "Task CPU and memory")."""


@pytest.mark.parametrize("name", ["WebSize", "WorkerSize", "BeatSize", "MediaSize"])
def test_each_size_that_can_be_chosen_is_one_that_fargate_has(name: str) -> None:
    parameter = template("service.yaml")["Parameters"][name]
    for size in (*parameter["AllowedValues"], parameter["Default"]):
        cpu, memory = map(int, size.split("/"))
        assert memory in MEMORY[cpu]


def test_the_routing_engine_has_a_size_that_fargate_has() -> None:
    cpu, memory = (template("roads.yaml")["Parameters"][name] for name in ("Cpu", "Memory"))
    assert list(map(int, cpu["AllowedValues"])) == [*MEMORY]
    assert int(memory["Default"]) in MEMORY[int(cpu["Default"])]
