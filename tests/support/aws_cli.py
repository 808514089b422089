"""A stand-in for the AWS CLI that types the commands of a page into the emulator.

The options are read by `aws_commands`, the calls are made by boto3, in the test's own process: the
program `aws` on the page's path only hands over its words.
"""

from __future__ import annotations

import json
import re
import socketserver
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import jmespath
from botocore import xform_name

from tests.support.aws_account import Account
from tests.support.aws_commands import Call, operation_of, parameters_of, read
from tests.support.templates import template, with_values, written_out

PROGRAM: Final = f"""#!{sys.executable} -IS
import json, socket, sys
if {{name!r}} == "docker":
    sys.stdin.read()  # what is piped into it must find a reader
with socket.socket(socket.AF_UNIX) as line:
    line.connect({{path!r}})
    line.sendall(json.dumps([{{name!r}}, *sys.argv[1:]]).encode() + b"\\n")
    code, out = json.loads(line.makefile().readline())
(sys.stderr if code else sys.stdout).write(out)
sys.exit(code)
"""

NOT_EMULATED: Final = {
    "AWS::APS::Workspace",
    "AWS::ApiGatewayV2::VpcLink",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::Cognito::ManagedLoginBranding",
    "AWS::EC2::EIP",
    "AWS::EC2::NatGateway",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::WAFv2::WebACLAssociation",
}
"""Kinds of resources that the emulator does not know; it knows no alarm on computed metrics either.
A template is deployed without them and without what refers to them."""

Handler = Callable[[Sequence[str]], str]


class Cli:
    """Carries out commands in an emulated account. `folder`: what paths of files begin in."""

    def __init__(self, account: Account, folder: Path) -> None:
        self._account = account
        self._folder = folder
        self.done: list[str] = []

    def run(self, words: Sequence[str]) -> str:
        """What the command prints. Raises `ClientError`, or `AssertionError` if it is not read."""
        call = read(words)
        answer = self._own(call) if call.is_own else self._api(call)
        self.done.append(f"{call.service} {call.operation}")
        return _printed(call, answer)

    def _api(self, call: Call) -> Any:
        client, sent = self._account.client(call.service), parameters_of(call)
        if call.operation.startswith("wait "):
            waiter = client.get_waiter(call.operation.partition(" ")[2].replace("-", "_"))
            waiter.wait(**sent, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
            return None
        return getattr(client, xform_name(operation_of(call)))(**sent)

    def _own(self, call: Call) -> Any:
        if call.operation == "deploy":
            return self._deploy(call)
        if (call.service, call.operation) == ("s3", "cp"):
            source, target = call.positional
            bucket, _, key = target.removeprefix("s3://").partition("/")
            content = (self._folder / source).read_bytes()
            self._account.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        return None

    def _deploy(self, call: Call) -> None:
        (name,), (path,) = call.options["stack-name"], call.options["template-file"]
        given = dict(
            each.partition("=")[::2] for each in call.options.get("parameter-overrides", ())
        )
        self._account.update(Path(path).name, name, emulated(Path(path).name), **given)


def emulated(name: str) -> str:
    """The part of a template that the emulator can create, as text."""
    parsed = template(name)
    if any(_is_left_out(each, set()) for each in written_out(name)["Resources"].values()):
        # A loop may make such a resource.
        parsed = written_out(name)
    kept, left_out = dict(parsed["Resources"]), set[str]()
    while gone := {key for key, each in kept.items() if _is_left_out(each, left_out)}:
        left_out |= gone
        kept = {key: each for key, each in kept.items() if key not in gone}
    # The emulator puts a parameter in as a text, and its services cannot count to that.
    numbers = {
        key: each["Default"]
        for key, each in parsed["Parameters"].items()
        if each["Type"] == "Number" and "Default" in each
    }
    outputs = parsed.get("Outputs", {}).items()
    named = {key: each for key, each in outputs if not _names(each) & left_out}
    for key, each in kept.items():
        if isinstance(each, Mapping) and each["Type"] == "AWS::ECS::Service":
            kept[key] = with_values(each, numbers)
    return json.dumps({**parsed, "Resources": kept, "Outputs": named})


def _is_left_out(resource: Any, left_out: set[str]) -> bool:
    if not isinstance(resource, Mapping):  # a loop that makes none
        return False
    computes = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    return computes or resource["Type"] in NOT_EMULATED or bool(_names(resource) & left_out)


def _names(part: Any) -> set[str]:
    """Every name in a part of a template that may refer to a resource."""
    if isinstance(part, str):
        return {part.partition(".")[0], *re.findall(r"\$\{(\w+)", part)}
    values = part.values() if isinstance(part, Mapping) else part
    return set().union(*map(_names, values)) if isinstance(part, Mapping | list) else set()


def _printed(call: Call, answer: Any) -> str:
    if answer is None:
        return ""
    answer = json.loads(json.dumps(answer, default=str))  # instants as texts, as the CLI has them
    if "query" in call.options:
        answer = jmespath.search(call.options["query"][0], answer)
    if call.options.get("output") == ["text"]:
        return "\n".join(_lines(answer)) + "\n"
    return json.dumps(answer) + "\n"


def _lines(answer: Any) -> Iterator[str]:
    if isinstance(answer, list) and not any(isinstance(each, list) for each in answer):
        yield "\t".join(map(str, answer))
    elif isinstance(answer, list):
        for each in answer:
            yield from _lines(each)
    else:
        yield str(answer)


@contextmanager
def programs(handlers: Mapping[str, Handler]) -> Iterator[Path]:
    """A folder with a program for each handler, which prints what the handler returns."""

    class Line(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            name, *words = json.loads(self.rfile.readline())
            try:
                answer = (0, handlers[name]([name, *words]))
            except Exception as error:  # the shell shows it, and the test fails
                answer = (254, f"{' '.join([name, *words])[:200]}: {error!r}\n")
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    with tempfile.TemporaryDirectory() as name:  # short: a socket's path has 107 characters
        folder = Path(name)
        path = str(folder / "socket")
        for program in handlers:
            (folder / program).write_text(PROGRAM.format(path=path, name=program))
            (folder / program).chmod(0o755)
        with socketserver.ThreadingUnixStreamServer(path, Line) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield folder
            finally:
                server.shutdown()
                thread.join()
