"""Commands on a running service: pause dispatch, replay dead letters, revoke, erase."""

from __future__ import annotations

from itertools import islice
from typing import Final

import click

from service.api.operation_views import DeadLetterView, dispatch_view
from service.api.views import instant_text
from service.bootstrap import photos_of
from service.command.tools import Output, Tools, explained, with_output, wrote
from service.core import staff
from service.core.dead_letters import replay as replay_letter
from service.core.erasure import erase_rider
from service.matching.zones import RESOLUTION, is_zone
from service.model import items_of
from service.model.operations import DispatchState

PAGE: Final = 100
"""The default of `--limit`."""


def _zone(_context: click.Context, _parameter: click.Parameter, zone: str | None) -> str | None:
    if zone is not None and not is_zone(zone):
        raise click.BadParameter(f"must be an H3 cell of resolution {RESOLUTION}")
    return zone


zone_option = click.option(
    "--zone", callback=_zone, help="Only in this zone: the H3 cell in a ride's `zone`."
)


@click.group()
def dispatch() -> None:
    """Pause the pairing of rides and unicorns.

    During a pause new rides are refused (503, dispatch_paused), waiting rides wait until their
    deadline, and trips under way go on.
    """


@dispatch.command()
@zone_option
@with_output
def pause(zone: str | None, output: Output) -> None:
    """Pause dispatch everywhere or in a zone."""
    _set(zone, True, output)


@dispatch.command()
@zone_option
@with_output
def resume(zone: str | None, output: Output) -> None:
    """Resume dispatch everywhere (each zone included) or in a zone."""
    _set(zone, False, output)


@dispatch.command()
@with_output
def status(output: Output) -> None:
    """Show where dispatch is paused."""
    with explained():
        _show(Tools().ports.control.current(), output)


def _set(zone: str | None, paused: bool, output: Output) -> None:
    with explained("dispatch"):
        tools = Tools()
        state = staff.set_pause(tools.ports, zone, paused, tools.now())
    wrote("dispatch paused" if paused else "dispatch resumed", zone=zone or "everywhere")
    _show(state, output)


def _show(state: DispatchState, output: Output) -> None:
    everywhere = "paused everywhere" if state.everywhere else "running"
    zones = [f"paused in {zone}" for zone in sorted(state.zones)]
    output.show(dispatch_view(state), everywhere, *zones)


@click.group(name="dead-letters", short_help="Rides that were set aside.")
def dead_letters() -> None:
    """Rides that were set aside, and why; kept for 30 days."""


@dead_letters.command(name="list")
@click.option("--limit", type=click.IntRange(1), default=PAGE, show_default=True)
@with_output
def list_letters(limit: int, output: Output) -> None:
    """List the dead letters, newest first."""
    tools = Tools()
    with explained():
        newest = items_of(tools.ports.dead_letters.newest)
        letters = list(islice(newest, limit))
    views = [DeadLetterView.of(letter) for letter in letters]
    lines = [
        f"{instant_text(letter.set_aside_at)}  {letter.dead_letter_id}  "
        f"{'replayed' if letter.replayed_at else 'open'}  {letter.cause}"
        for letter in letters
    ]
    output.show({"dead_letters": views}, *(lines or ["none"]))


@dead_letters.command()
@click.argument("dead_letter_id")
@with_output
def replay(dead_letter_id: str, output: Output) -> None:
    """Request the ride of a dead letter again, with a new deadline."""
    tools = Tools()
    with explained("dead letter"):
        letter = replay_letter(tools.ports, tools.ports.dead_letters, dead_letter_id, tools.now())
    wrote("dead letter replayed", dead_letter_id=dead_letter_id)
    output.show(DeadLetterView.of(letter), f"replayed {dead_letter_id}")


@click.command(short_help="Refuse tokens before they expire.")
@click.option("--sub", help="All tokens of this subject that were issued until now.")
@click.option("--origin-jti", help="All tokens of this sign-in.")
@click.option("--jti", help="This token.")
@with_output
def revoke(sub: str | None, origin_jti: str | None, jti: str | None, output: Output) -> None:
    """Refuse tokens everywhere within seconds. Give exactly one of the options.

    A subject is signed out at the user pool first (COGNITO_USER_POOL_ID). "no permission" means
    that the subject's refresh tokens stay valid until somebody signs the subject out at the pool.
    """
    identifiers = {"sub": sub, "origin_jti": origin_jti, "jti": jti}
    given = {kind: value for kind, value in identifiers.items() if value}
    if len(given) != 1:
        raise click.UsageError("give exactly one of --sub, --origin-jti and --jti")
    ((kind, value),) = given.items()
    with explained("revocations"):
        signed_out = Tools().revoke(kind, value)
    wrote("revoked", kind=kind, value=value, at_the_pool=signed_out)
    output.show(
        {"revoked": given, "at_the_pool": signed_out},
        f"revoked {kind} {value} (at the pool: {signed_out})",
    )


@click.command(short_help="Erase a rider from all rides that have ended.")
@click.option("--sub", required=True, help="The rider's `sub` in the user pool.")
@with_output
def erase(sub: str, output: Output) -> None:
    """Erase a rider from all rides that have ended.

    The rider's id, exact places, notes, reasons and comments are removed, and the photo
    (PHOTOS_BUCKET); times, distances and stars stay. Of a ride that cannot be read only the id
    stays. If rides are open, the command lists them and its exit code is 1: wait until they end
    and repeat the command. An open ride that cannot be read counts as ended after a day.
    First delete the account in the user pool and revoke its tokens (`revoke --sub`), so that the
    rider requests no new rides.
    """
    with explained("rides of a rider"):
        tools = Tools()
        done = erase_rider(tools.ports.rides, tools.ports.dead_letters, sub, tools.now())
        photos = photos_of(tools.settings, tools.dynamodb)
        if photos:
            photos.forget(sub)
    # Without the rider's id, because the log would keep what is erased here.
    wrote("rider erased", rides=str(done.erased), open_rides=str(len(done.open_rides)))
    output.show(
        {"erased": done.erased, "open_rides": list(done.open_rides)},
        f"{done.erased} rides erased",
        *(f"still open: {ride_id}" for ride_id in done.open_rides),
    )
    if done.open_rides:
        raise click.exceptions.Exit(1)
