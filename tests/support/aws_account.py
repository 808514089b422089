"""An emulated AWS account in which the templates of docker/ecs can be deployed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from service.local.processes import Program
from tests.support.infrastructure import MiniStack
from tests.support.templates import template as template_of

PASSWORD = "Aa1-correct-horse"


def compact(name: str) -> str:
    """A template as short as it can be: as it is written, service.yaml would have to go by S3."""
    return json.dumps(template_of(name), separators=(",", ":"))


class Account(MiniStack):
    """All of the emulated AWS, not only what the development stack needs."""

    def program(self) -> Program:
        program = super().program()
        environment = {k: v for k, v in program.environment.items() if k != "SERVICES"}
        return replace(program, environment=environment)

    def deploy(self, template: str, **parameters: str) -> dict[str, str]:
        """Create the stack of the template's name and return its outputs."""
        return self.create(template, template.partition(".")[0], **parameters)

    def create(
        self, template: str, name: str, body: str | None = None, **parameters: str
    ) -> dict[str, str]:
        """Create a stack from a template, or from this text of it, and return its outputs."""
        formation = self.client("cloudformation")
        formation.create_stack(
            StackName=name,
            TemplateBody=body or compact(template),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        stack = self._settled(formation, name)
        assert stack["StackStatus"] == "CREATE_COMPLETE", self._failures(formation, name)
        return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}

    def update(
        self, template: str, name: str, body: str | None = None, **parameters: str
    ) -> dict[str, str]:
        """Create a stack, or update it and keep the values that are not given; its outputs."""
        formation = self.client("cloudformation")
        try:
            (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
        except ClientError:
            return self.create(template, name, body, **parameters)
        kept = {each["ParameterKey"] for each in stack["Parameters"]} - parameters.keys()
        formation.update_stack(
            StackName=name,
            TemplateBody=body or compact(template),
            Parameters=[
                *({"ParameterKey": key, "ParameterValue": parameters[key]} for key in parameters),
                *({"ParameterKey": key, "UsePreviousValue": True} for key in kept),
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        stack = self._settled(formation, name)
        assert stack["StackStatus"] == "UPDATE_COMPLETE", self._failures(formation, name)
        return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}

    def _settled(self, formation: Any, name: str) -> Any:
        while True:
            (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                return stack
            time.sleep(0.1)

    def _failures(self, formation: Any, name: str) -> list[tuple[str, str]]:
        """The resources of a stack that failed, each with the reason."""
        events = formation.describe_stack_events(StackName=name)["StackEvents"]
        return [
            (each["LogicalResourceId"], each.get("ResourceStatusReason", ""))
            for each in events
            if each["ResourceStatus"].endswith("FAILED")
        ]

    def network(self) -> dict[str, str]:
        """The parameters of service.yaml that are somebody else's work."""
        ec2, acm = self.client("ec2"), self.client("acm")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = ",".join(
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{self.region}{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate("ab")
        )
        certificate = acm.request_certificate(DomainName="rides.example.com")["CertificateArn"]
        return {
            "VpcId": vpc,
            "PublicSubnets": subnets,
            "PrivateSubnets": subnets,
            "CertificateArn": certificate,
        }

    def container(self, family: str) -> Any:
        """The container of the newest task definition of this family."""
        ecs = self.client("ecs")
        task = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
        (container,) = task["containerDefinitions"]
        return container

    def sign_up(self, pool: str, email: str, group: str | None = None) -> str:
        """A confirmed user; returns its `sub`."""
        cognito = self.client("cognito-idp")
        user = {"UserPoolId": pool, "Username": email}
        cognito.admin_create_user(**user, MessageAction="SUPPRESS")
        cognito.admin_set_user_password(**user, Password=PASSWORD, Permanent=True)
        if group:
            cognito.admin_add_user_to_group(**user, GroupName=group)
        attributes = cognito.admin_get_user(**user)["UserAttributes"]
        return str(next(a["Value"] for a in attributes if a["Name"] == "sub"))
