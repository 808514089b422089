"""Draws where unicorns wait without and with repositioning.

`python -m tests.load.bench.city_map FILE.svg` simulates a night twice and draws both at 00:25.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from service.model import Location
from tests.load.bench import nyc
from tests.load.bench.nyc import thinned
from tests.load.bench.policies import OURS, REPOSITIONING, Policy
from tests.load.bench.world import World

SEED: Final = 1000
UNICORNS, LOAD = 500, 0.70
AT: Final = 1500.0
"""Seconds after midnight."""
REMEMBERED: Final = 900.0
SOUTH, NORTH, WEST, EAST = 40.700, 40.800, -74.020, -73.930
WIDTH, HEIGHT, TOP = 300, 440, 34
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#3c4043}path{stroke-linecap:round;fill:none}"
    ".riders{stroke:#e8a33d;stroke-width:3;opacity:.45}.idle{stroke:#1a73e8;stroke-width:5}"
    "rect{fill:#f8f9fa;stroke:#dadce0}"
)


def snapshot(policy: Policy) -> tuple[Sequence[Location], Sequence[Location]]:
    """The pickups requested in the last 15 minutes, and the idle unicorns."""
    rng, trips = random.Random(SEED), nyc.load()
    demand = thinned(trips, UNICORNS, LOAD, rng)
    starts = [rng.choice(trips).dropoff for _ in range(UNICORNS)]
    world = World(policy, [request for request in demand if request[0] < AT], starts)
    world.run(until=AT)
    entries = [cab.entry(AT) for cab in world.cabs.values() if cab.unicorn.can_take_a_ride]
    riders = [r.trip.pickup for r in world.riders.values() if r.requested > AT - REMEMBERED]
    return riders, [entry.position.location for entry in entries if entry.position]


def _dots(places: Iterable[Location], kind: str) -> str:
    spots = [
        (
            (at.longitude - WEST) / (EAST - WEST) * WIDTH,
            TOP + (NORTH - at.latitude) / (NORTH - SOUTH) * HEIGHT,
        )
        for at in places
        if SOUTH <= at.latitude <= NORTH and WEST <= at.longitude <= EAST
    ]
    return f'<path class="{kind}" d="' + "".join(f"M{x:.0f} {y:.0f}h0" for x, y in spots) + '"/>'


def draw() -> str:
    """The SVG."""
    lean = next(policy for policy in REPOSITIONING if policy.name == "lean")
    panels = []
    for number, (title, policy) in enumerate((("before", OURS), ("with repositioning", lean))):
        riders, idle = snapshot(policy)
        panels.append(
            f'<g transform="translate({10 + number * (WIDTH + 20)} 0)">'
            f'<text y="22">{title}: {len(idle)} unicorns idle</text>'
            f'<rect y="{TOP}" width="{WIDTH}" height="{HEIGHT}"/>'
            f"{_dots(riders, 'riders')}{_dots(idle, 'idle')}</g>"
        )
    size = f'width="{2 * WIDTH + 40}" height="{TOP + HEIGHT + 10}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>'
        f"{''.join(panels)}</svg>\n"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the SVG to write")
    parser.parse_args(arguments).file.write_text(draw())


if __name__ == "__main__":
    main()
