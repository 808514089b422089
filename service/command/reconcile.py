"""`reconcile`: makes rides, unicorns and Redis agree again."""

from __future__ import annotations

from typing import Final

import click

from service.command.tools import Output, Tools, explained, now, with_output, wrote
from service.core.reconcile import reconcile as reconcile_all
from service.model import items_of

PAGE: Final = 100
MOST_RIDES: Final = 1_000_000


@click.command()
@with_output
def reconcile(output: Output) -> None:
    """Repair differences between the two tables and Redis.

    Run it after a table was restored to an earlier instant, or after a wrong change by hand or by a
    bug. A unicorn that is reserved for a ride of another unicorn is released, a ride whose unicorn
    is free gets it back, and a ride whose unicorn is gone waits for another. Every unicorn and
    every waiting ride is written to Redis again. The service keeps running meanwhile.
    """
    tools = Tools()
    with explained():
        fleet = items_of(lambda at: tools.oversight.roster.unicorns(limit=PAGE, start=at))
        done = reconcile_all(tools.ports, output.progress(fleet, "unicorns"), now(), MOST_RIDES)
    for repair in done.repairs:
        wrote(repair.what, ride_id=repair.ride_id, unicorn_id=repair.unicorn_id)
    counts = {"unicorns": done.unicorns, "open_rides": done.rides, "mended": len(done.repairs)}
    output.show(
        counts,
        f"{done.unicorns} unicorns and {done.rides} open rides, {len(done.repairs)} pairs mended",
    )
