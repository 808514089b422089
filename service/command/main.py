"""All commands, and how they begin and fail."""

from __future__ import annotations

import click

from service.command.accounts import account
from service.command.fleet import fleet
from service.command.operations import dead_letters, dispatch, erase, revoke
from service.command.reconcile import reconcile
from service.command.tables import tables
from service.command.tools import audit_lines_on_stderr


@click.group(context_settings={"max_content_width": 100})
@click.pass_context
def main(context: click.Context) -> None:
    """Look after a Wild Rydes Dispatch service.

    Works on the stores that the environment names, with the settings the service itself has
    (AWS_REGION, REDIS_URL and so on) and the credentials boto3 finds. No token is needed; who may
    run this is a matter of IAM. With --json each command prints one JSON document. The exit code
    is 0 if all went well, 1 if something did not, 2 if the command was not understood. What a
    command changes it says on stderr, too, as audit lines in JSON.
    """
    context.with_resource(audit_lines_on_stderr())


for command in (tables, fleet, account, dead_letters, revoke, erase, reconcile, dispatch):
    main.add_command(command)
