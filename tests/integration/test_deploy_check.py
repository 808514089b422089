"""`make deploy-check` on an emulated account names each missing part and confirms the others."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from service.local import deploy_check
from tests.support.aws_account import Account
from tests.support.aws_cli import emulated
from tests.support.documents import commands
from tests.support.local_server import LocalServer, QuietHandler

DIGEST = "sha256:" + "0" * 64
SERVICE = {
    "PublicUrl": "https://rides.example.com",
    "Image": f"rides@{DIGEST}",
    "RidesTable": "Rides",
    "UnicornsTable": "Unicorns",
    "OperationsTable": "Operations",
    "UserPoolId": "us-east-1_Example",
    "ClientIds": "client",
}
"""The parameters of service.yaml beside those of the network."""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Account(tmp_path_factory.mktemp("account")) as account:
        yield account


@pytest.fixture(autouse=True)
def _of_the_account(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.url)


@pytest.fixture
def network(account: Account) -> dict[str, str]:
    """A VPC with two public and two private subnets, and its certificate."""
    given = account.network()
    ec2, vpc = account.client("ec2"), given["VpcId"]
    private = ",".join(_subnet(ec2, vpc, n, "ab"[n]) for n in range(2))
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    public = given["PublicSubnets"].split(",")
    _route(ec2, vpc, public, GatewayId=gateway)
    nat = ec2.create_nat_gateway(SubnetId=public[0], ConnectivityType="private")
    _route(ec2, vpc, private.split(","), NatGatewayId=nat["NatGateway"]["NatGatewayId"])
    return given | {"PrivateSubnets": private}


def _subnet(ec2: Any, vpc: str, number: int, zone: str) -> str:
    made = ec2.create_subnet(
        VpcId=vpc, CidrBlock=f"10.0.{10 + number}.0/24", AvailabilityZone=f"{Account.region}{zone}"
    )
    return str(made["Subnet"]["SubnetId"])


def _route(ec2: Any, vpc: str, subnets: list[str], **target: str) -> None:
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)
    for subnet in subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)


def missing(capsys: pytest.CaptureFixture[str], **values: str) -> dict[str, str]:
    """What is missing, by part, with the exit code that belongs to it."""
    code = deploy_check.main([f"{name}={value}" for name, value in values.items()])
    lines = capsys.readouterr().out.splitlines()
    assert all(line[:9] in ("ok       ", "MISSING  ", "UNKNOWN  ") for line in lines)
    found = parts(lines, "MISSING")
    assert code == (1 if found else 0)
    return found


def parts(lines: list[str], word: str) -> dict[str, str]:
    """The text of each part that has this word."""
    return dict(line[9:].split(": ", 1) for line in lines if line.startswith(f"{word} "))


def checked(capsys: pytest.CaptureFixture[str], word: str, **values: str) -> dict[str, str]:
    """The parts with this word of a check with these parameters."""
    deploy_check.main([f"{name}={value}" for name, value in values.items()])
    return parts(capsys.readouterr().out.splitlines(), word)


def test_the_check_names_each_missing_part_of_an_empty_account(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = missing(
        capsys,
        VpcId="vpc-0123456789abcdef0",
        PublicSubnets="subnet-0123456789abcdef0,subnet-0123456789abcdef1",
        CertificateArn=f"arn:aws:acm:us-east-1:000000000000:certificate/{uuid.uuid4()}",
        Image=f"000000000000.dkr.ecr.us-east-1.amazonaws.com/none@{DIGEST}",
        AlarmTopic="arn:aws:sns:us-east-1:000000000000:none",
        CodeBucket="no-such-bucket",
    )
    wanted = {"network", "public subnets", "certificate", "image", "topic of the alarms"}
    assert {*wanted, "bucket of the code"} <= found.keys()


def test_a_complete_account_has_no_missing_part(
    account: Account, network: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    image = pushed_image(account)
    account.client("s3").create_bucket(Bucket="code-here")
    account.client("s3").put_object(Bucket="code-here", Key="triggers-1.zip", Body=b"zip")
    topic = account.client("sns").create_topic(Name="operators")["TopicArn"]
    assert (
        missing(
            capsys,
            **network,
            PublicUrl="https://rides.example.com",
            Image=image,
            LoginDomain="rides-free",
            AlarmTopic=topic,
            CodeBucket="code-here",
            CodeKey="triggers-1.zip",
            RiderUrls="https://rides.example.com/",
            DriverUrls="https://rides.example.com/drive",
            ConsoleUrls="https://rides.example.com/console",
        )
        == {}
    )


def pushed_image(account: Account) -> str:
    ecr = account.client("ecr")
    ecr.create_repository(repositoryName="rides")
    ecr.put_image(repositoryName="rides", imageManifest='{"schemaVersion":2}', imageTag="1")
    (told,) = ecr.describe_images(repositoryName="rides")["imageDetails"]
    registry = f"{told['registryId']}.dkr.ecr.{account.region}.amazonaws.com"
    return f"{registry}/rides@{told['imageDigest']}"


def test_subnets_in_one_zone_or_without_a_way_out_are_refused(
    account: Account, network: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    one, _ = network["PublicSubnets"].split(",")
    vpc = network["VpcId"]
    ec2 = account.client("ec2")
    lost = ",".join(_subnet(ec2, vpc, 10 + n, "ab"[n]) for n in range(2))
    found = missing(capsys, VpcId=vpc, PublicSubnets=one, PrivateSubnets=lost)
    assert "two availability zones are needed" in found["public subnets"]
    assert "no route to a NAT gateway" in found["private subnets"]
    elsewhere = missing(capsys, **account.network() | {"PrivateSubnets": lost})
    assert "not in the VPC of VpcId" in elsewhere["private subnets"]


def test_a_certificate_of_another_host_is_refused(
    network: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arn = network["CertificateArn"]
    found = missing(capsys, CertificateArn=arn, PublicUrl="https://rides.example.org")
    assert "not of rides.example.org" in found["certificate"]


def test_wrong_and_unknown_parameters_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy_check.main(["WebSize=512/512", "Imgae=x", "LoginDomain=Upper"]) == 1
    lines = capsys.readouterr().out.splitlines()
    refused = [line.partition("parameters: ")[2] for line in lines if "parameters: " in line]
    assert "Imgae: no such parameter" in refused
    assert "Image: is missing" in refused
    assert any(text.startswith("WebSize: must be one of") for text in refused)
    assert any(text.startswith("LoginDomain: ") for text in refused)
    assert not any(text.startswith("RidesTable") for text in refused)


def test_malformed_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy_check.main(["--help"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err


def test_a_taken_sign_in_domain_is_refused(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    cognito = account.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="other")["UserPool"]["Id"]
    cognito.create_user_pool_domain(Domain="rides-taken", UserPoolId=pool)
    assert "is taken" in missing(capsys, LoginDomain="rides-taken")["sign-in domain"]


def test_a_stack_whose_creation_failed_must_be_deleted_first(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    cognito = account.client("cognito-idp")
    pool = cognito.create_user_pool(PoolName="other")["UserPool"]["Id"]
    cognito.create_user_pool_domain(Domain="rides-half", UserPoolId=pool)
    values = dict.fromkeys(("RiderUrls", "DriverUrls", "ConsoleUrls"), "https://a.example.com/")
    values |= {"Branding": "false"}  # which the emulator does not know
    with pytest.raises(AssertionError, match="rides-half already exists"):
        account.create("data.yaml", "rides-data", LoginDomain="rides-half", **values)
    assert "delete it, then create it again" in missing(capsys)["stack rides-data"]
    account.client("cloudformation").delete_stack(StackName="rides-data")
    assert "stack rides-data" not in missing(capsys)
    account.create("data.yaml", "rides-data", LoginDomain="rides-whole", **values)
    assert "stack rides-data" not in missing(capsys)


def test_the_stack_of_the_service_can_be_deleted_and_made_again(
    account: Account, network: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        account.create("service.yaml", "rides", **network | SERVICE)
        account.client("cloudformation").delete_stack(StackName="rides")
    assert "stack rides" not in missing(capsys)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Image", "rides:latest", "an image by its digest"),
        ("OfferSeconds", "0", "a whole number of seconds, 1 to 86400"),
        ("WebSize", "512/512", "512/1024"),
        ("PhotosBucket", "photos", "PhotosBucket needs IdentityPoolId"),
        ("PageClientIds", "a,b,c", "PageClientIds needs LoginUrl"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words_before_anything_is_created(
    account: Account, network: dict[str, str], name: str, value: str, words: str
) -> None:
    with pytest.raises(ClientError) as refused:
        account.create("service.yaml", "rides-wrong", **network | SERVICE | {name: value})
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert words in refused.value.response["Error"]["Message"]


def test_subnets_of_another_vpc_are_refused_in_words(
    account: Account, network: dict[str, str]
) -> None:
    elsewhere = account.network()["PublicSubnets"]
    with pytest.raises(ClientError, match="PrivateSubnets must be a subnet of VpcId"):
        account.create(
            "service.yaml", "rides-wrong", **network | SERVICE | {"PrivateSubnets": elsewhere}
        )


def test_the_check_knows_every_stack_of_the_walk() -> None:
    deployed = re.compile(r"aws cloudformation deploy --stack-name (\S+) --template-file \S+/(\S+)")
    typed = (deployed.match(command.text) for command in commands())
    assert dict(found.groups() for found in typed if found) == deploy_check.STACKS


def test_the_stack_of_the_monitoring_is_looked_at(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("ClusterName", "WebServiceName", "WorkerServiceName", "BalancerFullName")
    names += ("WebTargetsFullName", "WorkerLogGroup", "CacheId")
    assert checked(capsys, "ok")["stack rides-monitoring"] == "does not exist yet"
    body = emulated("monitoring.yaml")
    account.create("monitoring.yaml", "rides-monitoring", body, **dict.fromkeys(names, "rides"))
    assert checked(capsys, "ok")["stack rides-monitoring"] == "CREATE_COMPLETE"
    account.client("cloudformation").delete_stack(StackName="rides-monitoring")


def test_a_quota_that_the_account_does_not_say_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = checked(capsys, "UNKNOWN")  # the emulator knows no quotas
    assert unknown.keys() == {
        "quota of Fargate vCPUs",
        "quota of VPCs",
        "quota of Elastic IP addresses",
    }
    assert all("the account does not say" in text for text in unknown.values())


class QuotaServer(LocalServer):
    """Service Quotas of an account. `own`: the account's own values by their codes; `default`:
    the value of AWS for each of the others."""

    def __init__(self, own: Mapping[str, float], default: float) -> None:
        class Handler(QuietHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                value = own.get(asked["QuotaCode"])
                if operation == "GetAWSDefaultServiceQuota":
                    value = default
                answer = {"Quota": {"Value": value}}
                if value is None:
                    answer = {"__type": "NoSuchResourceException", "Message": "not applied"}
                body = json.dumps(answer).encode()
                self.send_response(200 if value is not None else 400)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(Handler)


def test_quotas_of_a_new_account_that_are_too_small_are_missing(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vpcs = len(account.client("ec2").describe_vpcs()["Vpcs"])
    with QuotaServer({"L-3032A538": 6, "L-F678F1CE": vpcs}, default=5) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", server.url)
        found = missing(capsys)
        assert "it is 6; needed: 6.5 for" in found["quota of Fargate vCPUs"]
        assert f"it is {vpcs}, of which {vpcs} are used; needed: 1 for" in found["quota of VPCs"]
        assert "quota of Elastic IP addresses" not in found  # 2 of AWS's default of 5
        found = missing(capsys, VpcId="vpc-0123456789abcdef0", WorkerSize="512/1024")
        assert not any(part.startswith("quota") for part in found)
        assert "quota of Fargate vCPUs" in missing(capsys, WebSize="4096/8192", WorkerSize="8")
