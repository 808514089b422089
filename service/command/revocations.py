"""`revoke`: refuse tokens before they expire."""

from __future__ import annotations

import click

from service.auth.revocation import remembered_for
from service.command.tools import Output, Tools, explained, now, with_output


@click.command(short_help="Refuse tokens before they expire.")
@click.option("--sub", help="All tokens of this subject until now.")
@click.option("--origin-jti", help="All tokens of this sign-in.")
@click.option("--jti", help="This token.")
@with_output
def revoke(sub: str | None, origin_jti: str | None, jti: str | None, output: Output) -> None:
    """Refuse tokens within seconds, everywhere; give exactly one of the names tokens carry."""
    marks = {"sub": sub, "origin_jti": origin_jti, "jti": jti}
    given = {kind: value for kind, value in marks.items() if value}
    if len(given) != 1:
        raise click.UsageError("give exactly one of --sub, --origin-jti and --jti")
    ((kind, value),) = given.items()
    tools = Tools()
    settings = tools.settings
    memory = remembered_for(
        kind,
        session_seconds=settings.auth_session_max_seconds,
        leeway_seconds=settings.auth_leeway_seconds,
    )
    at = now()
    with explained():
        tools.revocations.put(kind, value, revoked_at=at, expires_at=at + memory)
    output.show({"revoked": given}, f"revoked {kind} {value}")
