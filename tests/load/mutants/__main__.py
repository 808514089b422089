"""`make mutants`: a sample of one-line mistakes in the product; how many do the tests notice?

Ends with 1 if fewer than 95 % of those are noticed that change what the product does. Mutants that
change nothing are named, with the reason, in `equivalent.txt`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.load.mutants.sample import ROOMS, Mutant, sample
from tests.load.mutants.trial import PROJECT, Trials, copy_of_the_project

WANTED = 0.95
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rooms", nargs="*", default=ROOMS, help="paths to draw from")
    parser.add_argument(
        "--nearest",
        action="store_true",
        help="a quick look, which notices fewer: the nearest tests only",
    )
    options = parser.parse_args()
    equivalent = equivalents()
    mutants = sample(PROJECT, options.count, options.seed, options.rooms)
    counted = [mutant for mutant in mutants if name_of(mutant) not in equivalent]
    survivors = 0
    with copy_of_the_project() as folder:
        trials = Trials(folder)
        for number, mutant in enumerate(counted, start=1):
            began = time.monotonic()
            noticed = trials.noticed_by(mutant, nearest=options.nearest)
            verdict = f"noticed by {noticed}" if noticed else f"SURVIVED\n{mutant.diff}"
            seconds = time.monotonic() - began
            place = f"{number}/{len(counted)} {mutant.path}:{mutant.line}"
            print(f"{place} ({seconds:.0f} s) {verdict}", flush=True)
            survivors += noticed is None
    share = 1 - survivors / max(1, len(counted))
    print(
        f"{share:.1%} of {len(counted)} mutants noticed, {len(mutants) - len(counted)} equivalent"
    )
    sys.exit(share < WANTED)


def name_of(mutant: Mutant) -> str:
    """The mutant in one line that outlives changes elsewhere in the file."""
    return " | ".join([mutant.path, *(line.strip() for line in mutant.diff.splitlines())])


def equivalents() -> frozenset[str]:
    lines = EQUIVALENT.read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


if __name__ == "__main__":
    main()
