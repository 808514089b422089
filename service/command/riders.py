"""`erase`: forget a rider."""

from __future__ import annotations

import click

from service.command.tools import Output, Tools, explained, with_output
from service.core.erasure import erase_rider


@click.command(short_help="Take a rider out of all rides that have ended.")
@click.option("--sub", required=True, help="The rider's `sub` in the user pool.")
@with_output
def erase(sub: str, output: Output) -> None:
    """Take a rider out of all rides that have ended.

    Who it was, exact places, notes, reasons and comments go; times, distances and stars stay.
    May be repeated. Rides still open are named (exit code 1): let them end and repeat. Delete the
    account in the user pool first, and `revoke --sub` its tokens, so that no new rides come.
    """
    with explained():
        done = erase_rider(Tools().ports, sub)
    output.show(
        {"erased": done.erased, "open_rides": list(done.open_rides)},
        f"{done.erased} rides erased",
        *(f"still open: {ride_id}" for ride_id in done.open_rides),
    )
    if done.open_rides:
        raise click.exceptions.Exit(1)
