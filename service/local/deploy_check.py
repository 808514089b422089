"""`make deploy-check`: lists what an account lacks before the stacks of docker/ecs can be created.

Its arguments are the parameters of the stacks, as `NAME=VALUE`. It checks that the network, the
certificate, the image and everything else that they name exist, and that the account's quotas
suffice. It changes nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from service.local.findings import Check, Finding, Missing, finding
from service.local.quotas import quotas
from service.local.templates import Template

STACKS: Final[Mapping[str, str]] = {
    "rides-account": "account.yaml",
    "rides-network": "network.yaml",
    "rides-data": "data.yaml",
    "rides": "service.yaml",
    "rides-monitoring": "monitoring.yaml",
    "rides-scaling": "scaling.yaml",
    "rides-identity": "identity.yaml",
    "rides-commands": "commands.yaml",
    "rides-roads": "roads.yaml",
    "rides-firewall": "firewall.yaml",
    "rides-gateway": "gateway.yaml",
    "rides-flower": "flower.yaml",
}
"""The templates by the stack names of docker/ecs/README.md, in the order of their creation."""

NEEDED: Final = {"data.yaml", "service.yaml"}
"""The templates that every deployment needs. Their required parameters must be given."""

_IMAGE: Final = re.compile(
    r"([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^@:]+)@(sha256:[0-9a-f]{64})"
)
_TARGETS: Final = {"GatewayId", "NatGatewayId", "NetworkInterfaceId", "TransitGatewayId"}
"""The possible targets of a route, by EC2's names of the fields."""
_USELESS: Final = re.compile(r"ROLLBACK_COMPLETE|.*_FAILED|REVIEW_IN_PROGRESS")
"""States of a stack that can only be deleted. A failed update does not lead to these: it leads to
`UPDATE_ROLLBACK_…`."""


def findings(values: Mapping[str, str]) -> Iterator[Finding]:
    """Check everything that stacks with these parameters need."""
    yield from _parameter_findings(values)
    account = _Account(values)
    checks: dict[str, tuple[str, Check]] = {
        "credentials": ("", account.credentials),
        "network": ("VpcId", account.network),
        "public subnets": ("PublicSubnets", account.public_subnets),
        "private subnets": ("PrivateSubnets", account.private_subnets),
        "certificate": ("CertificateArn", account.certificate),
        "image": ("Image", account.image),
        "sign-in domain": ("LoginDomain", account.login_domain),
        "topic of the alarms": ("AlarmTopic", account.topic),
        "bucket of the code": ("CodeBucket", account.code_bucket),
    }
    for part, (parameter, check) in checks.items():
        if not parameter or values.get(parameter):
            yield finding(part, check)
    for quota in quotas(values, account.client):
        check = partial(quota.check, account.client("service-quotas"))
        yield finding(f"quota of {quota.name}", check)
    for stack in STACKS:
        yield finding(f"stack {stack}", partial(account.stack, stack))


def _parameter_findings(values: Mapping[str, str]) -> Iterator[Finding]:
    """Find parameters that a template refuses, that no template has, or that are not given."""
    templates = [Template(name) for name in STACKS.values()]
    outputs = {name for each in templates for name in each.parsed.get("Outputs", ())}
    existing = {name for each in templates for name in each.parameters}
    faults = {f"{name}: no such parameter" for name in values.keys() - existing}
    for file in STACKS.values():
        own = {name: text for name, text in values.items() if name in Template(file).parameters}
        faults |= {
            fault
            for fault in Template(file, own).faults()
            if not fault.endswith(": is missing")
            # An output of an earlier stack does not exist yet, and most stacks may follow later.
            or (file in NEEDED and fault.partition(":")[0] not in outputs)
        }
    yield from (Finding("MISSING", "parameters", fault) for fault in sorted(faults))
    if not faults:
        yield Finding("ok", "parameters", "each template takes them")


class _Account:
    """Reads from an AWS account. Each method makes one to three remote calls."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._session = boto3.Session()

    def client(self, service: str) -> Any:
        """A client of the service, such as `ec2`, in the account's region."""
        return self._session.client(service)  # type: ignore[call-overload]

    def _list(self, parameter: str) -> list[str]:
        return [part for part in self._values[parameter].split(",") if part]

    def credentials(self) -> str:
        if not self._session.region_name:
            raise Missing("no region is set: set AWS_REGION")
        identity = self.client("sts").get_caller_identity()
        return f"account {identity['Account']}, region {self._session.region_name}"

    def network(self) -> str:
        vpc = self._values["VpcId"]
        self.client("ec2").describe_vpcs(VpcIds=[vpc])
        return vpc

    def public_subnets(self) -> str:
        return self._subnets("PublicSubnets", _is_internet, "an internet gateway")

    def private_subnets(self) -> str:
        return self._subnets("PrivateSubnets", lambda to: not _is_internet(to), "a NAT gateway")

    def _subnets(self, parameter: str, fits: Callable[[str], bool], called: str) -> str:
        ids = self._list(parameter)
        found = self.client("ec2").describe_subnets(SubnetIds=ids)["Subnets"]
        elsewhere = [
            each["SubnetId"] for each in found if each["VpcId"] != self._values.get("VpcId")
        ]
        if elsewhere:
            raise Missing(f"{', '.join(elsewhere)}: not in the VPC of VpcId")
        zones = {each["AvailabilityZone"] for each in found}
        if len(zones) < 2:
            raise Missing(f"all in {', '.join(zones)}: two availability zones are needed")
        without = [each for each in ids if not any(map(fits, self._ways_out(each)))]
        if without:
            raise Missing(f"{', '.join(without)}: no route to {called} (0.0.0.0/0)")
        return f"{len(ids)} in {', '.join(sorted(zones))}, each with a route to {called}"

    def _ways_out(self, subnet: str) -> list[str]:
        """The targets of the default routes in the subnet's own table, or in the VPC's main one."""
        vpc = {"Name": "vpc-id", "Values": [self._values.get("VpcId", "")]}
        tables = self.client("ec2").describe_route_tables(Filters=[vpc])["RouteTables"]
        links = [(link, table) for table in tables for link in table.get("Associations", ())]
        own = [table for link, table in links if link.get("SubnetId") == subnet]
        main = [table for link, table in links if link.get("Main")]
        return [
            str(route[target])
            for table in own or main
            for route in table["Routes"]
            if route.get("DestinationCidrBlock") == "0.0.0.0/0"
            for target in _TARGETS & route.keys()
        ]

    def certificate(self) -> str:
        arn = self._values["CertificateArn"]
        certificate = self.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]
        status = certificate["Status"]
        if status != "ISSUED":
            raise Missing(f"it is {status}, not yet ISSUED: add its record to the DNS")
        host = urlsplit(self._values.get("PublicUrl", "")).hostname or ""
        names = certificate.get("SubjectAlternativeNames") or [certificate["DomainName"]]
        if host and not any(_covers(name, host) for name in names):
            raise Missing(f"it is of {', '.join(names)}, not of {host} in PublicUrl")
        return f"issued for {', '.join(names)}"

    def image(self) -> str:
        named = _IMAGE.fullmatch(self._values["Image"])
        if not named:
            raise Missing("it is in no repository of ECR: push it there")
        account, region, repository, digest = named.groups()
        if region != self._session.region_name:
            raise Missing(f"it is in {region}, and tasks run in {self._session.region_name}")
        ids = [{"imageDigest": digest}]
        self.client("ecr").describe_images(
            registryId=account, repositoryName=repository, imageIds=ids
        )
        return f"in the repository {repository}"

    def login_domain(self) -> str:
        domain = self._values["LoginDomain"]
        description = self.client("cognito-idp").describe_user_pool_domain(Domain=domain)
        if description.get("DomainDescription"):
            raise Missing(f"{domain} is taken in this region: choose another one")
        return f"{domain} is free"

    def topic(self) -> str:
        arn = self._values["AlarmTopic"]
        self.client("sns").get_topic_attributes(TopicArn=arn)
        return arn

    def code_bucket(self) -> str:
        bucket, key = self._values["CodeBucket"], self._values.get("CodeKey")
        self.client("s3").head_bucket(Bucket=bucket)
        if key:
            self.client("s3").head_object(Bucket=bucket, Key=key)
        return f"s3://{bucket}/{key or ''}"

    def stack(self, name: str) -> str:
        try:
            (stack,) = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return "does not exist yet"
            raise
        status = stack["StackStatus"]
        if _USELESS.fullmatch(status):
            raise Missing(f"it is {status}: delete it, then create it again")
        return str(status)


def _is_internet(target: str) -> bool:
    return target.startswith("igw-")


def _covers(name: str, host: str) -> bool:
    """Whether a certificate's name covers the host; `*` stands for one label."""
    return name == host or (name.startswith("*.") and name[2:] == host.partition(".")[2])


def main(arguments: Sequence[str]) -> int:
    """Print a line for each part. Returns 1 if something is missing, 2 for a malformed argument."""
    if not all("=" in each for each in arguments):
        print("usage: make deploy-check ARGS='NAME=VALUE ...'", file=sys.stderr)
        return 2
    values = {name: value for name, _, value in (each.partition("=") for each in arguments)}
    found = list(findings(values))
    for each in found:
        print(f"{each.word:8} {each.part}: {each.text}")
    return 1 if any(each.word == "MISSING" for each in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
