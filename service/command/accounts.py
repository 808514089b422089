"""Commands on an account: suspend it, resume it, take it out of a group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from service.command.tools import Output, Tools, explained, with_output, wrote
from service.stores.cognito import CognitoUserPool

UNKNOWN: Final = "the user pool has no account with this sub"

sub_option = click.option("--sub", required=True, help="The account's `sub` in the user pool.")


@click.group()
def account() -> None:
    """Change an account in the user pool (COGNITO_USER_POOL_ID).

    `suspend` and `leave` also revoke the account's tokens: within 5 s every process refuses the
    tokens that were issued before. A user who may go on signs in again. If the pool has no such
    account, the commands say so and exit with 1; `suspend` and `leave` revoke the tokens all the
    same.
    """


@account.command()
@sub_option
@with_output
def suspend(sub: str, output: Output) -> None:
    """Keep an account out: no sign-in, no renewal, and no earlier token."""
    _change(sub, lambda pool: pool.suspend(sub, True), "suspended", output)


@account.command()
@sub_option
@with_output
def resume(sub: str, output: Output) -> None:
    """Let a suspended account sign in again."""
    with explained("accounts"):
        is_known = _pool(Tools()).suspend(sub, False)
    if not is_known:
        raise click.ClickException(UNKNOWN)
    wrote("account resumed", sub=sub)
    output.show({"sub": sub, "outcome": "resumed"}, f"{sub} resumed")


@account.command()
@sub_option
@click.option("--group", required=True, help="Such as admin, dispatcher or unicorns.")
@with_output
def leave(sub: str, group: str, output: Output) -> None:
    """Take an account out of a group."""
    _change(sub, lambda pool: pool.leave(sub, group), f"out of {group}", output)


def _pool(tools: Tools) -> CognitoUserPool:
    if not isinstance(tools.pool, CognitoUserPool):
        raise click.UsageError("set COGNITO_USER_POOL_ID")
    return tools.pool


def _change(
    sub: str, change: Callable[[CognitoUserPool], bool], outcome: str, output: Output
) -> None:
    tools = Tools()
    with explained("accounts"):
        is_known = change(_pool(tools))
        tools.revoke("sub", sub)
    if not is_known:
        wrote("revoked", kind="sub", value=sub)
        raise click.ClickException(f"{UNKNOWN}; tokens of this sub are revoked")
    wrote("account changed", sub=sub, outcome=outcome)
    output.show({"sub": sub, "outcome": outcome}, f"{sub} {outcome}")
