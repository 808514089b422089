"""`index`: what Redis knows, made anew from DynamoDB."""

from __future__ import annotations

from typing import Final

import click

from service.command.tools import Output, Tools, explained, now, with_output, wrote
from service.core import effects
from service.core.staff import waiting_rides
from service.model import items_of

PAGE: Final = 100
ALL: Final = 1_000_000


@click.group()
def index() -> None:
    """The copies in Redis: states of unicorns, rides that wait."""


@index.command()
@with_output
def rebuild(output: Output) -> None:
    """Tell Redis of every unicorn and every waiting ride anew.

    Needed only to mend what a bug or a hand did: the service rebuilds a lost Redis by itself, and
    unicorns come back with their next position.
    """
    tools = Tools()
    with explained():
        unicorns = _refresh_unicorns(tools, output)
        rides = _add_waiting_rides(tools, output)
    counts = {"unicorns": unicorns, "waiting_rides": rides}
    wrote("index rebuilt", unicorns=str(unicorns), waiting_rides=str(rides))
    output.show(counts, f"{unicorns} unicorns and {rides} waiting rides")


def _refresh_unicorns(tools: Tools, output: Output) -> int:
    count = 0
    unicorns = items_of(lambda at: tools.oversight.roster.unicorns(limit=PAGE, start=at))
    for unicorn in output.progress(unicorns, "unicorns"):
        tools.ports.fleet.refresh(unicorn, now())
        count += 1
    return count


def _add_waiting_rides(tools: Tools, output: Output) -> int:
    waiting = waiting_rides(tools.ports, now(), ALL)
    for ride in output.progress(waiting, "waiting rides"):
        effects.trigger_ride(tools.ports, ride)
    return len(waiting)
