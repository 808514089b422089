"""`retention`: applies RIDE_RETENTION_DAYS to rides that have already ended."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from service.command.tools import Output, Tools, explained, now, with_output, wrote
from service.core.retention import renew_expiry


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
                renew_expiry(tools.ports.rides, tools.oversight.history, begin, now()), "rides"
            )
        )
    days = tools.settings.ride_retention_days
    wrote("retention applied", days=str(days), rides=str(done))
    kept = f"kept for {days} days" if days else "kept for ever"
    output.show({"rides": done, "days": days}, f"{done} rides {kept}")
