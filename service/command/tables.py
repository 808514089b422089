"""Commands on the DynamoDB tables: create and check them, repair and expire their rows."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Final

import click

from service.command.tools import Output, Tools, explained, with_output, wrote
from service.core.erasure import renew_expiry
from service.core.reconcile import reconcile as reconcile_all
from service.model import items_of
from service.stores.dynamodb import schema
from service.stores.dynamodb.inspection import faults_of_tables

MOST_RIDES: Final = 1_000_000


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

    Existing tables get what they lack (an index, expiry) and keep the rest, so the command can be
    run at any time. Run it before you start a new release, and with --drop-former-indexes after the
    last process of the old release has ended.
    """
    tools = Tools()
    with explained("tables"):
        schema.create_tables(tools.dynamodb, tools.settings)
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


@click.command()
@with_output
def reconcile(output: Output) -> None:
    """Repair differences between the rides' table, the unicorns' table and Redis.

    Run it after a table was restored to an earlier instant, or after a wrong change by hand or by a
    bug. A unicorn that is reserved for a ride of another unicorn is released, a ride whose unicorn
    is free gets it back, and a ride whose unicorn is gone waits for another. Every unicorn and
    every waiting ride is written to Redis again. The service keeps running meanwhile.
    """
    tools = Tools()
    with explained("rides and unicorns"):
        fleet = items_of(tools.oversight.roster.unicorns)
        done = reconcile_all(
            tools.ports, output.progress(fleet, "unicorns"), tools.now(), MOST_RIDES
        )
    for repair in done.repairs:
        wrote(repair.what, ride_id=repair.ride_id, unicorn_id=repair.unicorn_id)
    counts = {"unicorns": done.unicorns, "open_rides": done.rides, "mended": len(done.repairs)}
    output.show(
        counts,
        f"{done.unicorns} unicorns and {done.rides} open rides, {len(done.repairs)} pairs mended",
    )


@click.command(short_help="Apply RIDE_RETENTION_DAYS to rides that have already ended.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="Begin with the rides that were requested on this day (UTC): the day of the first ride.",
)
@with_output
def retention(since: datetime, output: Output) -> None:
    """Apply RIDE_RETENTION_DAYS to rides that have already ended.

    The service sets the expiry of a ride when it ends. Run this command after you have changed
    RIDE_RETENTION_DAYS and restarted every process: the rides then expire that many days after
    their end, or never (0). DynamoDB deletes an expired ride within days, except one that expired
    more than five years ago. The command costs one write and two reads per ride. It may be
    repeated.
    """
    with explained("retention of rides"):
        tools = Tools()
        begin = since.replace(tzinfo=UTC)
        done = sum(
            1
            for _ in output.progress(
                renew_expiry(tools.ports.rides, tools.oversight.history, begin, tools.now()),
                "rides",
            )
        )
    days = tools.settings.ride_retention_days
    wrote("retention applied", days=str(days), rides=str(done))
    kept = f"kept for {days} days" if days else "kept for ever"
    output.show({"rides": done, "days": days}, f"{done} rides {kept}")
