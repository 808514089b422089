"""Measures the bytes of log lines of a ride in API and worker, a position, and an idle minute."""

from __future__ import annotations

import time

from tests.load.bench.stage import stage
from tests.support.infrastructure import free_port
from tests.support.stack import ROLES, Stack

HERE = {"latitude": 40.7128, "longitude": -74.0060}
RIDES = 50
POSITIONS = 200


class Volume:
    """The bytes and lines that each role has logged since the last call."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen = self._now()

    def _now(self) -> dict[str, tuple[int, int]]:
        logs = {role: self._stack.log(role) for role in ROLES}
        return {role: (len(log.encode()), log.count("\n")) for role, log in logs.items()}

    def row(self, name: str, times: int) -> None:
        """Print the bytes and lines of one of `times` events."""
        time.sleep(2)  # the worker's last lines come after the answer
        now = self._now()
        for role in ROLES:
            (size, lines), (before, lines_before) = now[role], self._seen[role]
            print(
                f"{name:<28} {role:<8} {(size - before) / times:>8.0f} bytes"
                f" {(lines - lines_before) / times:>6.2f} lines",
                flush=True,
            )
        self._seen = now


def ride(stack: Stack, unicorn: str) -> None:
    """Run one ride from the request to the end, with the requests that the pages make."""
    stack.call("PUT", "/v1/fleet/me/position", HERE, token=unicorn)
    order = {"pickup": HERE, "dropoff": HERE | {"latitude": 40.7228}}
    rider = stack.rider_token("rider")
    answer = stack.call("POST", "/v1/rides", order, token=rider, Prefer="wait=20")
    assert answer.json["status"] == "matched", answer.json
    for step in ("arrive", "start", "complete"):
        path = f"/v1/fleet/me/rides/{answer.json['ride_id']}/{step}"
        assert stack.call("POST", path, token=unicorn).status == 200


def main() -> None:
    # Figures are logged only where metrics can be asked for.
    figures = {"METRICS_NAMESPACE": "rides", "METRICS_PORT": str(free_port())}
    with stage(RATE_LIMIT_ENABLED="false", **figures) as stack:
        unicorn = stack.on_duty("driver", HERE)
        ride(stack, unicorn)
        volume = Volume(stack)
        for _ in range(RIDES):
            ride(stack, unicorn)
        volume.row("a ride", RIDES)
        for _ in range(POSITIONS):
            stack.call("PUT", "/v1/fleet/me/position", HERE, token=unicorn)
        volume.row("an accepted position", POSITIONS)
        time.sleep(60)
        volume.row("a minute of nothing", 1)


if __name__ == "__main__":
    main()
