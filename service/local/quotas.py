"""The quotas of an AWS account that its first deployment may exceed.

Some quotas of a new account are small: 6 processors for tasks, 5 VPCs, 5 addresses. Their codes
are those that `aws service-quotas list-service-quotas` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from service.local.findings import Missing, Unknown, reason_of
from service.local.templates import Template

Client = Callable[[str], Any]
"""Returns a client of an AWS service, by boto3's name of the service."""


@dataclass(frozen=True)
class Quota:
    """A quota and what the stacks need of it.

    `service` and `code`: those of Service Quotas. `need`: what the needed amount is for, in words.
    `used`: returns what the account uses already, with one remote call for each page of the answer;
    None if that is not looked up.
    """

    name: str
    service: str
    code: str
    needed: float
    need: str
    used: Callable[[], int] | None = None

    def check(self, client: Any) -> str:
        """Say what the quota leaves; `client` is one of Service Quotas. Makes one or two remote
        calls, and those of `used`. Raises `Missing` if too little is left, `Unknown` if the account
        does not say."""
        need = f"needed: {self.needed:g} for {self.need}"
        try:
            quota = self._value(client)
        except (BotoCoreError, ClientError) as error:
            raise Unknown(
                f"the account does not say ({reason_of(error)}); {need}. Look at"
                f" {self.service} {self.code} in the console of Service Quotas"
            ) from error
        used = self.used() if self.used else 0
        text = f"it is {quota:g}{f', of which {used} are used' if self.used else ''}; {need}"
        if quota - used < self.needed:
            raise Missing(f"{text}. Request more ({self.service} {self.code}); it may take days")
        return text

    def _value(self, client: Any) -> float:
        """The account's own value, or AWS's default if the account has none of its own."""
        named = {"ServiceCode": self.service, "QuotaCode": self.code}
        try:
            answer = client.get_service_quota(**named)
        except ClientError as error:
            if error.response["Error"].get("Code") != "NoSuchResourceException":
                raise
            answer = client.get_aws_default_service_quota(**named)
        return float(answer["Quota"]["Value"])


def quotas(values: Mapping[str, str], client: Client) -> Iterator[Quota]:
    """The quotas that stacks with these parameters may exceed."""
    yield Quota(
        "Fargate vCPUs",
        "fargate",
        "L-3032A538",
        2 * _vcpus(values),
        "web, workers and beat, once more while a release replaces them",
    )
    if values.get("VpcId"):  # network.yaml is done, or there is no need of it
        return
    ec2 = client("ec2")
    yield Quota(
        "VPCs", "vpc", "L-F678F1CE", 1, "network.yaml", lambda: len(ec2.describe_vpcs()["Vpcs"])
    )
    yield Quota(
        "Elastic IP addresses",
        "ec2",
        "L-0263D0A3",
        1 if values.get("NatPerZone") == "false" else 2,
        "the NAT gateways of network.yaml",
        lambda: len(ec2.describe_addresses()["Addresses"]),
    )


def _vcpus(values: Mapping[str, str]) -> float:
    """The vCPUs of the service with the fewest tasks that scaling.yaml allows."""
    scaling = Template("scaling.yaml")
    web = int(scaling.properties("WebTarget")["MinCapacity"])
    workers = int(scaling.properties("WorkerTarget")["MinCapacity"])
    sizes = Template("service.yaml").parameters
    web_vcpus, worker_vcpus, beat_vcpus = (
        _vcpus_of(sizes[parameter], values.get(parameter, ""))
        for parameter in ("WebSize", "WorkerSize", "BeatSize")
    )
    return web * web_vcpus + workers * worker_vcpus + beat_vcpus


def _vcpus_of(declared: Mapping[str, Any], given: str) -> float:
    """The vCPUs of a task of this size, such as `512/1024`; a wrong size counts as the default."""
    size = given if given in declared["AllowedValues"] else str(declared["Default"])
    return int(size.partition("/")[0]) / 1024
