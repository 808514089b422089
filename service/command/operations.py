"""`dispatch`: pause it, resume it, see whether it is paused."""

from __future__ import annotations

import click

from service.api.admin_representations import dispatch_view
from service.command.tools import Output, Tools, explained, now, with_output
from service.core import staff
from service.matching.zones import RESOLUTION, is_zone
from service.model.operations import Pause


def _zone(_context: click.Context, _parameter: click.Parameter, zone: str | None) -> str | None:
    if zone is not None and not is_zone(zone):
        raise click.BadParameter(f"must be an H3 cell of resolution {RESOLUTION}")
    return zone


zone_option = click.option(
    "--zone", callback=_zone, help="Only here: an H3 cell, as rides carry it."
)


@click.group()
def dispatch() -> None:
    """Pause the pairing of rides and unicorns.

    While it is paused new rides are refused (503, dispatch_paused), waiting ones wait until their
    deadline, and trips under way go on.
    """


@dispatch.command()
@zone_option
@with_output
def pause(zone: str | None, output: Output) -> None:
    """Pause everywhere, or in a zone."""
    _set(zone, True, output)


@dispatch.command()
@zone_option
@with_output
def resume(zone: str | None, output: Output) -> None:
    """Resume everywhere (and in each zone), or in a zone."""
    _set(zone, False, output)


@dispatch.command()
@with_output
def status(output: Output) -> None:
    """Say where dispatch is paused."""
    with explained():
        _show(Tools().ports.pauses.current(), output)


def _set(zone: str | None, paused: bool, output: Output) -> None:
    with explained():
        _show(staff.set_pause(Tools().ports, zone, paused, now()), output)


def _show(pause: Pause, output: Output) -> None:
    everywhere = "paused everywhere" if pause.everywhere else "running"
    zones = [f"paused in {zone}" for zone in sorted(pause.zones)]
    output.show(dispatch_view(pause), everywhere, *zones)
