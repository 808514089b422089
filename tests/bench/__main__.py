"""All measurements, or those named: `python -m tests.bench [auth] [assignment] [requests]`."""

from __future__ import annotations

import importlib
import sys

NAMES = ("auth", "assignment", "requests")


def main(names: list[str]) -> None:
    unknown = set(names) - set(NAMES)
    if unknown:
        sys.exit(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    for name in names or NAMES:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
