"""`reconcile`: rides and unicorns agree again, and Redis knows of both."""

from __future__ import annotations

from typing import Final

import click

from service.command.tools import Output, Tools, explained, now, with_output, wrote
from service.core.reconcile import reconcile as reconcile_all
from service.model import items_of

PAGE: Final = 100
ALL: Final = 1_000_000


@click.command()
@with_output
def reconcile(output: Output) -> None:
    """Mend what the two tables and Redis do not agree on.

    Run it after one of the tables was restored to an earlier instant, or after a hand or a bug
    changed what it should not: a unicorn that is reserved for a ride that is not its own is freed,
    a ride whose unicorn is free gets it back, a ride whose unicorn is gone looks for another. The
    service goes on meanwhile. Redis is told of every unicorn and every waiting ride anew.
    """
    tools = Tools()
    with explained():
        fleet = items_of(lambda at: tools.oversight.roster.unicorns(limit=PAGE, start=at))
        done = reconcile_all(tools.ports, output.progress(fleet, "unicorns"), now(), ALL)
    for repair in done.repairs:
        wrote(repair.what, ride_id=repair.ride_id, unicorn_id=repair.unicorn_id)
    counts = {"unicorns": done.unicorns, "open_rides": done.rides, "mended": len(done.repairs)}
    output.show(
        counts,
        f"{done.unicorns} unicorns and {done.rides} open rides, {len(done.repairs)} pairs mended",
    )
