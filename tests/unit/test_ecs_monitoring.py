"""The collector and the monitor of the tasks on ECS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml

from service.observability.exposition import NAMES
from tests.support.templates import STACKS, resources, resources_of, template

SERVICE: Final = resources_of("service.yaml", PrometheusWorkspace="ws-1", Monitor="true")
WITHOUT: Final = resources_of("service.yaml")
FLOWER: Final = resources_of("flower.yaml")


def containers(stack: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in stack.values():
        if each["Type"] == "AWS::ECS::TaskDefinition":
            parts = each["Properties"]["ContainerDefinitions"]
            for part in parts:
                yield parts[0]["Name"], part


def environment(part: Mapping[str, Any]) -> Mapping[str, str]:
    return {pair["Name"]: pair["Value"] for pair in part["Environment"]}


def test_each_rule_opens_one_port() -> None:
    """None opens that of the metrics: test_ecs_bounds.py lists the ports."""
    opened: list[Any] = []
    for stack in STACKS:
        for group in resources(stack, "AWS::EC2::SecurityGroup").values():
            opened += group.get("SecurityGroupIngress", [])
        opened += resources(stack, "AWS::EC2::SecurityGroupIngress").values()
    assert len(opened) > 3
    assert [rule for rule in opened if rule["FromPort"] != rule["ToPort"]] == []


def test_there_is_no_collector_unless_it_is_wanted() -> None:
    assert not [part for _, part in containers(WITHOUT) if part["Name"] == "collector"]
    assert not [name for name in WITHOUT if name.startswith("Collector")]
    for role, part in containers(WITHOUT):
        if role in NAMES:
            assert environment(part)["OTEL_EXPORTER_OTLP_ENDPOINT"] == ""


@pytest.mark.parametrize("role", NAMES)
def test_a_collector_reads_the_metrics_and_takes_the_traces_of_its_task(role: str) -> None:
    own = {part["Name"]: part for name, part in containers(SERVICE) if name == role}
    collector, served = own["collector"], environment(own[role])
    port = int(served["METRICS_PORT"]) + NAMES.index(role)
    assert environment(collector) == {"ROLE": role, "METRICS": f"127.0.0.1:{port}"}
    assert served["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert collector["Essential"] is False
    assert collector["ReadonlyRootFilesystem"] is True


def test_the_collectors_settings_name_what_they_declare() -> None:
    config = yaml.safe_load(SERVICE["CollectorConfig"]["Properties"]["Value"])
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= config[kind].keys()
    assert set(config["service"]["extensions"]) <= config["extensions"].keys()
    assert config["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == "127.0.0.1:4318"
    (scraped,) = config["receivers"]["prometheus"]["config"]["scrape_configs"]
    # As the jobs of docker/prometheus/prometheus.yml, whose rules are used there.
    assert scraped["job_name"] == "${env:ROLE}"
    assert scraped["static_configs"] == [{"targets": ["${env:METRICS}"]}]
    assert len(SERVICE["CollectorConfig"]["Properties"]["Value"]) <= 4096


def test_workers_report_to_a_monitor_only_where_one_is_wanted() -> None:
    for stack, expected in ((SERVICE, "true"), (WITHOUT, "false")):
        for role, part in containers(stack):
            if part["Name"] in {"worker", "beat"}:
                assert environment(part)["MONITOR_ENABLED"] == expected, role


def test_the_monitor_is_behind_two_logins() -> None:
    """Riders are users of the pool too, so its login alone would let them in."""
    first, second = FLOWER["Rule"]["Properties"]["Actions"]
    assert (first["Order"], first["Type"]) == (1, "authenticate-cognito")
    assert first["AuthenticateCognitoConfig"]["OnUnauthenticatedRequest"] == "authenticate"
    assert second["Order"] == 2
    ((_, monitor),) = containers(FLOWER)
    assert {"FLOWER_BASIC_AUTH", "REDIS_URL"} == {each["Name"] for each in monitor["Secrets"]}
    (condition,) = FLOWER["Rule"]["Properties"]["Conditions"]
    prefix = environment(monitor)["FLOWER_URL_PREFIX"]
    assert condition["PathPatternConfig"]["Values"] == [f"/{prefix}", f"/{prefix}/*"]
    assert FLOWER["Targets"]["Properties"]["HealthCheckPath"] == f"/{prefix}/healthcheck"
    (ingress,) = FLOWER["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert ingress["SourceSecurityGroupId"] == "BalancerSecurityGroup"
    assert monitor["Command"] == ["monitor"]
    assert monitor["ReadonlyRootFilesystem"] is True
    assert monitor["User"] == "10001:10001"


@pytest.mark.parametrize("name", ["flower.yaml", "gateway.yaml", "scaling.yaml", "monitoring.yaml"])
def test_a_later_stack_takes_what_the_service_stack_gives(name: str) -> None:
    given = template("service.yaml")["Outputs"].keys()
    own = {"VpcId", "PrivateSubnets", "Image", "PublicUrl", "UserPoolId", "LoginDomain"}
    own |= {"Authorizer", "CertificateArn", "ServerName", "AlarmTopic"}
    wanted = template(name)["Parameters"].items()
    assert {key for key, entry in wanted if "Default" not in entry} - own <= given


def test_the_service_stack_takes_what_the_gateway_and_the_workspace_give() -> None:
    taken = template("service.yaml")["Parameters"].keys()
    assert {"GatewayTargets", "GatewayProofs"} <= template("gateway.yaml")["Outputs"].keys() & taken
    assert "PrometheusWorkspace" in template("monitoring.yaml")["Outputs"].keys() & taken
