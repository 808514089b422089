"""Numbers of the templates lie within the bounds that AWS sets or the service needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import pytest

from tests.support.templates import ECS, resources, template, written_out

PORTS: Final = (443, 5000, 5555, 6379, 8080)
"""HTTPS, the routing engine, the monitor, the cache, the API."""
BOUNDS: Final[Mapping[str, Collection[int]]] = {
    **dict.fromkeys(("ContainerPort", "FromPort", "Port", "ToPort"), PORTS),
    "DesiredCount": (1,),  # of services that are not scaled
    "ExpirationInDays": range(1, 8),  # uploads that were not cleaned are of no use
    "FailureThreshold": (1,),
    "HealthCheckGracePeriodSeconds": range(10, 61),
    "HttpCode": (200,),
    "MaxAge": range(60, 86_401),
    "MaximumPercent": (100, 200),
    "MinimumHealthyPercent": (0, 50, 100),
    "NoncurrentDays": range(7, 91),
    "NumCacheClusters": (2,),  # one in each of two zones
    "PasswordLength": range(32, 129),  # ElastiCache takes 128 characters at most
    "RetryGracePeriodSeconds": range(1, 61),  # Cognito takes 60 at most
    "SessionTimeout": range(900, 28_801),  # at most a working day
    "StopTimeout": range(10, 121),  # Fargate takes 120 at most
    "TimeoutInMillis": (30_000,),  # the longest of an HTTP API
    "TTL": range(1, 61),
}
"""The numbers that a property may have, by its name."""
RETENTION_DAYS: Final = 30
STACKS: Final = sorted(path.name for path in ECS.glob("*.yaml"))


def numbers(part: Any) -> Iterator[tuple[str, int]]:
    """The numbers in a part of a template, with the names of their properties."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
                yield name, int(value)
            yield from numbers(value)
    elif isinstance(part, list):
        for each in part:
            yield from numbers(each)


@pytest.mark.parametrize("stack", STACKS)
def test_each_number_lies_within_its_bounds(stack: str) -> None:
    found = list(numbers(written_out(stack)["Resources"]))
    assert [pair for pair in found if pair[0] in BOUNDS and pair[1] not in BOUNDS[pair[0]]] == []


def test_every_bound_is_needed() -> None:
    names = {name for stack in STACKS for name, _ in numbers(written_out(stack)["Resources"])}
    assert BOUNDS.keys() - names == set()


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
}
"""MiB that Fargate combines with CPU units (Amazon ECS, "Task CPU and memory")."""


@pytest.mark.parametrize("name", ["WebSize", "WorkerSize", "BeatSize", "MediaSize"])
def test_each_size_that_can_be_chosen_is_one_that_fargate_has(name: str) -> None:
    parameter = template("service.yaml")["Parameters"][name]
    for size in (*parameter["AllowedValues"], parameter["Default"]):
        cpu, memory = map(int, size.split("/"))
        assert memory in MEMORY[cpu]
