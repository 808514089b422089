"""`dead-letters`: what could not be worked on."""

from __future__ import annotations

from itertools import islice

import click

from service.api.admin_representations import dead_letter_view
from service.command.tools import Output, Tools, explained, now, with_output
from service.core.dead_letters import replay as replay_letter
from service.model import items_of

PAGE = 100


@click.group(name="dead-letters", short_help="What could not be worked on.")
def dead_letters() -> None:
    """Rides, entries and messages that were set aside, and why; kept for 30 days."""


@dead_letters.command(name="list")
@click.option("--limit", type=click.IntRange(1), default=PAGE, show_default=True)
@with_output
def list_letters(limit: int, output: Output) -> None:
    """List them, newest first."""
    tools = Tools()
    with explained():
        newest = items_of(lambda at: tools.ports.dead_letters.newest(limit=PAGE, start=at))
        letters = list(islice(newest, limit))
    views = [dead_letter_view(letter) for letter in letters]
    lines = [
        f"{view['set_aside_at']}  {view['dead_letter_id']}  "
        f"{'replayed' if view['replayed_at'] else 'open'}  {view['cause']}"
        for view in views
    ]
    output.show({"dead_letters": views}, *(lines or ["none"]))


@dead_letters.command()
@click.argument("dead_letter_id")
@with_output
def replay(dead_letter_id: str, output: Output) -> None:
    """Try one again: a ride is requested once more, with a fresh deadline."""
    tools = Tools()
    with explained():
        letter = replay_letter(tools.ports, dead_letter_id, now())
    output.show(dead_letter_view(letter), f"replayed {dead_letter_id}")
