"""What the commands share: settings, stores, output and audit lines."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from pydantic_core import to_json

from service import setting_types as types
from service.auth import revocation
from service.auth.claims import LONGEST_SESSION_SECONDS
from service.auth.revocation import NoUserPool, PoolSignOut, UserPool
from service.bootstrap import (
    JOB_TIMEOUT_SECONDS,
    RedisStores,
    build_clock,
    build_oversight,
    build_ports,
    build_revocations,
    redis_stores,
)
from service.clock import REDIS, Clock
from service.core.ports import Ports
from service.core.staff import Oversight
from service.logs import json_lines
from service.model.errors import DispatchError, Unavailable
from service.settings import Settings, load
from service.stores.broker import CeleryRoundQueue
from service.stores.cognito import CognitoUserPool
from service.stores.dynamodb.client import dynamodb_client
from service.stores.revocations import KnownRevocations

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_audit: Final = logging.getLogger("service.audit")

Item = TypeVar("Item")
Command = TypeVar("Command", bound=Callable[..., Any])


class CommandSettings(Settings):
    """A worker's settings, and those that commands need in addition."""

    cognito_user_pool_id: str = ""
    """If it is empty, a revoked subject is not signed out at the pool."""
    auth_leeway_seconds: types.Leeway = 30
    auth_session_max_seconds: types.Session = LONGEST_SESSION_SECONDS


class Tools:
    """The stores of one command; each connects when it is first used."""

    @cached_property
    def settings(self) -> CommandSettings:
        return load(CommandSettings)

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        return dynamodb_client(self.settings)

    @cached_property
    def redis(self) -> RedisStores:
        return redis_stores(self.settings, timeout_seconds=JOB_TIMEOUT_SECONDS)

    @cached_property
    def clock(self) -> Clock:
        """The service's clock, read once. A command may run on a host whose own clock is wrong."""
        clock = build_clock(self.settings, self.redis, self.dynamodb)
        clock.read()
        return clock

    def now(self) -> datetime:
        """The service's time. At most two remote calls, when it is first asked."""
        return self.clock.now()

    @cached_property
    def ports(self) -> Ports:
        rounds = CeleryRoundQueue(
            self.settings.broker_url,
            timeout_seconds=JOB_TIMEOUT_SECONDS,
            now=lambda: self.clock.by(REDIS),
        )
        return build_ports(self.settings, self.redis, rounds, self.dynamodb)

    @cached_property
    def oversight(self) -> Oversight:
        return build_oversight(
            self.settings,
            self.redis,
            self.dynamodb,
            role="command",
            timeout_seconds=JOB_TIMEOUT_SECONDS,
        )

    @cached_property
    def revocations(self) -> KnownRevocations:
        return build_revocations(self.settings, self.redis, self.dynamodb, self.now)

    @cached_property
    def pool(self) -> UserPool:
        pool_id = self.settings.cognito_user_pool_id
        return CognitoUserPool(pool_id) if pool_id else NoUserPool()

    def revoke(self, kind: str, value: str) -> PoolSignOut:
        """Revoke a token, a sign-in or a subject, in every process within 5 s.

        Raises `Unavailable`.
        """
        return revocation.revoke(
            self.revocations,
            self.pool,
            (kind, value),
            self.now,
            session_seconds=self.settings.auth_session_max_seconds,
            leeway_seconds=self.settings.auth_leeway_seconds,
        )


@dataclass(frozen=True, slots=True)
class Output:
    """Prints one JSON document, or lines for a person."""

    as_json: bool

    def show(self, document: object, *lines: str) -> None:
        """Print the document, or the lines with the same content."""
        if self.as_json:
            click.echo(to_json(document).decode())
        else:
            for line in lines:
                click.echo(line)

    def progress(
        self, items: Iterable[Item], label: str, length: int | None = None
    ) -> Iterator[Item]:
        """Yield the items; on a terminal a bar shows the progress."""
        hidden = self.as_json or not sys.stderr.isatty()
        with click.progressbar(
            items, length=length, label=label, file=sys.stderr, hidden=hidden
        ) as counted:
            yield from counted


def with_output(command: Command) -> Command:
    """Add the option `--json`, which the command gets as its argument `output`."""
    return click.option(
        "--json",
        "output",
        is_flag=True,
        callback=lambda _context, _parameter, value: Output(value),
        help="Print one JSON document.",
    )(command)


@contextmanager
def audit_lines_on_stderr() -> Iterator[None]:
    """Write audit lines to stderr as JSON inside the block; stdout is for the command's output."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_lines())
    _audit.addHandler(handler)
    level = _audit.level
    _audit.setLevel(logging.INFO)
    try:
        yield
    finally:
        _audit.removeHandler(handler)
        _audit.setLevel(level)


def wrote(what: str, **ids: str) -> None:
    """Write an audit line: who changed what by command, and on which machine."""
    _audit.info(what, extra={"operator": f"{_account()}@{socket.gethostname()}", **ids})


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return str(os.getuid())


@contextmanager
def explained(changing: str = "") -> Iterator[None]:
    """Show errors of the domain as one line, with exit code 1 and no traceback.

    `changing`: what the block changes, if anything. If a store fails, the write may have been done,
    so an audit line is written in that case too.
    """
    try:
        yield
    except Unavailable as error:
        if changing:
            wrote("outcome unknown", changing=changing)
        raise click.ClickException(str(error)) from error
    except DispatchError as error:
        raise click.ClickException(str(error)) from error
