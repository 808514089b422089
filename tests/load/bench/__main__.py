"""Runs all measurements, or the named ones: `python -m tests.load.bench [auth] [assignment] …`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence

MEASUREMENTS: Mapping[str, Sequence[Sequence[str]]] = {
    "auth": (),
    "assignment": (),
    "scale": (),
    "requests": (),
    "burst": (),
    "moves": (),
    "engine_round": (),
    "backlog": (),
    "positions": (),
    "capacity": (),
    "log_volume": (),
    "starts": (["--tests"],),
    "overload": (),
    "slow_clients": (),
    "event_streams": (),
    "monitoring": (),
    "learning": (),
    "worlds": (["--seeds", "1", "--loads", "0.85"],),
    "simulation": (["--quick"],),
}
"""The arguments of each measurement's `main`, by name; its own `--help` lists further options."""


def main(names: list[str]) -> None:
    unknown = ", ".join(sorted(set(names) - set(MEASUREMENTS)))
    if unknown:
        sys.exit(f"no such measurement: {unknown}; there are {', '.join(MEASUREMENTS)}")
    for name in names or MEASUREMENTS:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"tests.load.bench.{name}").main(*MEASUREMENTS[name])


if __name__ == "__main__":
    main(sys.argv[1:])
