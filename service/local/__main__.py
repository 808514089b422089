"""Commands of the development stack; `make help` lists the make targets that run them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from urllib3.exceptions import HTTPError

from service.local import demo, environment, occupancy
from service.local.detaching import Detached
from service.local.login import LoginFailed
from service.local.provisioning import load_identity
from service.local.stack import Ports, Stack, StackError, StackSettings
from service.local.up import up


def main() -> None:
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except StackError as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service.local")
    parser.add_argument("--dir", type=Path, default=Path(".local"), help="the stack's folder")
    commands = parser.add_subparsers(required=True)
    start = commands.add_parser("up", help="start the stack and keep it running")
    start.add_argument("--detach", action="store_true", help="return when it is ready")
    start.add_argument("--ports", type=int, metavar="N", help="listen on N to N+4")
    start.set_defaults(run=_up)
    commands.add_parser("down", help="end it").set_defaults(run=_down)
    token = commands.add_parser("token", help="print a fresh access token")
    token.add_argument("user", choices=environment.CALLERS)
    token.set_defaults(run=_token)
    commands.add_parser("demo", help="request a ride and watch it").set_defaults(run=_demo)
    return parser


def _up(arguments: argparse.Namespace) -> None:
    given = StackSettings.given()
    ports = Ports.of(given) if arguments.ports is None else Ports.consecutive(arguments.ports)
    stack = Stack.create(arguments.dir, ports, given.aws_region)
    if not arguments.detach:
        up(stack, say=_say, announce=_say)
        return
    report = Detached(stack.logs / "supervisor.log")
    try:
        up(stack, say=_say, announce=report.succeeded)
    except StackError as error:
        report.failed(str(error))
        raise


def _down(arguments: argparse.Namespace) -> None:
    occupancy.stop(arguments.dir)


def _token(arguments: argparse.Namespace) -> None:
    print(_fresh_token(_running(arguments.dir), arguments.user))


def _demo(arguments: argparse.Namespace) -> None:
    stack = _running(arguments.dir)
    token = _fresh_token(stack, "rider")
    try:
        demo.run(stack.web_url, token)
    except HTTPError as error:
        raise StackError(_silent("the API", stack.web_url, stack)) from error


def _running(folder: Path) -> Stack:
    """The stack in this folder. Raises `StackError` where none runs."""
    stack = Stack.existing(folder)
    if not occupancy.is_running(folder):
        raise StackError(f"the stack in {folder} is not running: `make run` starts it")
    return stack


def _fresh_token(stack: Stack, user: str) -> str:
    try:
        return environment.token(stack, load_identity(stack.folder), user)
    except FileNotFoundError as error:
        raise StackError("the stack is still starting: wait until it says ready") from error
    except LoginFailed as error:
        raise StackError(str(error)) from error
    except HTTPError as error:
        raise StackError(_silent("AWS", stack.aws_url, stack)) from error


def _silent(part: str, url: str, stack: Stack) -> str:
    return f"{part} of the running stack does not answer at {url}: see {stack.logs}"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
