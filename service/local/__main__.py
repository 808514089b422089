"""Commands of the development stack; `make help` lists the make targets that run them."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError

from service.local import environment, occupancy
from service.local.detaching import Detached
from service.local.login import LoginFailed
from service.local.provisioning import load_identity
from service.local.stack import Ports, Stack, StackError, StackSettings
from service.local.up import up

DEMO_PICKUP = {"latitude": 40.7175, "longitude": -73.9995}
DEMO_SECONDS = 300.0
TERMINAL = ("completed", "canceled", "unmatched")


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
    start.add_argument("--detach", action="store_true", help="return when the stack is ready")
    start.add_argument("--ports", type=int, metavar="N", help="listen on N to N+4")
    start.set_defaults(run=_up)
    commands.add_parser("down", help="stop the stack").set_defaults(run=_down)
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
        _ride(stack.web_url, token)
    except HTTPError as error:
        raise StackError(_silent("the API", stack.web_url, stack)) from error


def _ride(url: str, token: str) -> None:
    """Print each status of the ride. Raises `StackError` unless a unicorn completes it."""
    http = urllib3.PoolManager(timeout=40)
    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=20"}
    began = time.monotonic()
    answer = http.request("POST", f"{url}/v1/rides", json={"pickup": DEMO_PICKUP}, headers=headers)
    print(f"POST /v1/rides -> {answer.status}")
    if answer.status not in (201, 202):
        raise StackError(answer.data.decode())
    address = f"{url}{answer.headers['Location']}"
    ride = answer.json()
    shown = ""
    while time.monotonic() - began < DEMO_SECONDS:
        if ride["status"] != shown:
            shown = ride["status"]
            print(_line(time.monotonic() - began, ride))
        if shown in TERMINAL:
            break
        seen = headers | {"If-None-Match": f'"{ride["version"]}"'}
        answer = http.request("GET", address, headers=seen)
        ride = answer.json() if answer.status == 200 else ride
    if shown != "completed":
        raise StackError(f"the ride was not completed: {shown}")


def _line(seconds: float, ride: dict[str, object]) -> str:
    unicorn = ride["unicorn"]
    who = f"  {unicorn['name']} ({unicorn['color']})" if isinstance(unicorn, dict) else ""
    return f"{seconds:6.2f} s  {ride['status']}{who}"


def _running(folder: Path) -> Stack:
    """The stack in this folder. Raises `StackError` if it does not run."""
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
