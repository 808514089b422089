"""A deployment of service.yaml is watched and can be rolled back; so can a first creation."""

from __future__ import annotations

from typing import Any

import pytest

from service.local.templates import Template
from tests.support.templates import ECS, written_out

PHOTOS = {"PhotosBucket": "photos", "IdentityPoolId": "us-east-1:pool"}
SERVICES = ("WebService", "WorkerService", "BeatService", "MediaService")


def deployment(service: str, **values: str) -> Any:
    return Template("service.yaml", PHOTOS | values).properties(service)["DeploymentConfiguration"]


@pytest.mark.parametrize("service", SERVICES)
def test_alarms_bring_back_the_last_release(service: str) -> None:
    watched = deployment(service, DeploymentAlarms="rides-JobsFail,rides-SweepSilent")
    names = ["rides-JobsFail", "rides-SweepSilent"]
    assert watched["Alarms"] == {"AlarmNames": names, "Enable": True, "Rollback": True}
    assert watched["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


@pytest.mark.parametrize("service", SERVICES)
def test_a_first_creation_waits_for_no_alarm(service: str) -> None:
    """There are no alarms yet, because they need the names of the services."""
    assert "Alarms" not in deployment(service)


def test_beat_is_replaced_without_a_gap_and_stays_single() -> None:
    template = Template("service.yaml")
    assert template.properties("BeatService")["DesiredCount"] == 1
    beat = template.properties("BeatService")["DeploymentConfiguration"]
    assert (beat["MinimumHealthyPercent"], beat["MaximumPercent"]) == (100, 200)
    assert "BeatService" not in (ECS / "scaling.yaml").read_text()


def test_cloudformation_can_delete_everything_that_a_failed_creation_left() -> None:
    template = Template("service.yaml")
    for name, resource in template.parsed["Resources"].items():
        assert resource.get("DeletionPolicy", "Delete") == "Delete", name
    attributes = template.properties("Balancer")["LoadBalancerAttributes"]
    assert {"Key": "deletion_protection.enabled", "Value": "false"} in attributes
    protected = Template("service.yaml", {"DeletionProtection": "true"})
    attributes = protected.properties("Balancer")["LoadBalancerAttributes"]
    assert {"Key": "deletion_protection.enabled", "Value": "true"} in attributes


@pytest.mark.parametrize("stack", ["data.yaml", "identity.yaml", "service.yaml"])
def test_resources_that_a_failed_creation_keeps_do_not_block_the_next(stack: str) -> None:
    """A retained resource has no fixed name, which the next creation could not use."""
    for name, resource in written_out(stack)["Resources"].items():
        if resource.get("DeletionPolicy", "Delete") != "Delete":
            named = {"TableName", "BucketName", "UserPoolName", "LogGroupName"}
            assert not named & resource["Properties"].keys(), name


@pytest.mark.parametrize("architecture", ["X86_64", "ARM64"])
def test_every_task_runs_on_the_processor_of_the_image(architecture: str) -> None:
    template = Template("service.yaml", {"Architecture": architecture})
    platforms = {
        template.properties(name)["RuntimePlatform"]["CpuArchitecture"]
        for name, resource in template.parsed["Resources"].items()
        if resource["Type"] == "AWS::ECS::TaskDefinition"
    }
    assert platforms == {architecture}
