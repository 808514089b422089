"""The group of all commands: their common options, start and errors."""

from __future__ import annotations

import click

from service.command.accounts import account
from service.command.doctor import doctor
from service.command.fleet import fleet
from service.command.operations import dead_letters, dispatch, erase, revoke
from service.command.tables import reconcile, retention, tables
from service.command.tools import audit_lines_on_stderr


@click.group(context_settings={"max_content_width": 100})
@click.pass_context
def main(context: click.Context) -> None:
    """Look after a Wild Rydes Dispatch service.

    The commands use the stores named by the service's own settings (AWS_REGION, REDIS_URL and so
    on) and the credentials that boto3 finds. They need no token; IAM decides who may run them. With
    --json each command prints one JSON document. The exit code is 0 if everything succeeded, 1 if
    something failed, 2 if the command was not understood. Each change is also written to stderr, as
    an audit line in JSON.
    """
    context.with_resource(audit_lines_on_stderr())


for command in (
    doctor,
    tables,
    fleet,
    account,
    dead_letters,
    revoke,
    erase,
    retention,
    reconcile,
    dispatch,
):
    main.add_command(command)
