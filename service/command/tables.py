"""`tables`: creates the DynamoDB tables and checks them."""

from __future__ import annotations

import sys

import click

from service.command.tools import Output, Tools, explained, with_output, wrote
from service.stores.dynamodb import schema
from service.stores.dynamodb.inspection import faults_of_tables
from service.stores.dynamodb.schema import create_tables


@click.group(short_help="The DynamoDB tables.")
def tables() -> None:
    """The DynamoDB tables (RIDES_TABLE, UNICORNS_TABLE, OPERATIONS_TABLE)."""


@tables.command()
@click.option(
    "--drop-former-indexes",
    is_flag=True,
    help="Afterwards delete the indexes that only the previous release reads.",
)
@with_output
def create(output: Output, drop_former_indexes: bool) -> None:
    """Create missing tables and indexes, and wait until they can be used.

    Existing ones are not changed, so the command can be run at any time. Run it before you start a
    new release, and with --drop-former-indexes after the last process of the old release has ended.
    """
    tools = Tools()
    with explained("tables"):
        create_tables(tools.dynamodb, tools.settings)
        if drop_former_indexes:
            schema.drop_former_indexes(tools.dynamodb, tools.settings)
    names = tools.settings.table_names
    wrote("tables created", tables=", ".join(names))
    output.show({"tables": names}, f"ready: {', '.join(names)}")


@tables.command()
@with_output
def check(output: Output) -> None:
    """List what is missing or different; exit code 1 if anything is."""
    tools = Tools()
    with explained():
        faults = faults_of_tables(tools.dynamodb, tools.settings)
    output.show({"faults": faults}, *(faults or ["as they should be"]))
    sys.exit(1 if faults else 0)
