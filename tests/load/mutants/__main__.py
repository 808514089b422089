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
from tests.load.mutants.trial import PROJECT, copy_of_the_project, try_out

WANTED = 0.95
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rooms", nargs="*", default=ROOMS, help="paths to draw from")
    parser.add_argument("--nearest", action="store_true", help="a quick look: nearest tests only")
    options = parser.parse_args()
    known = known_equivalents()
    mutants = sample(PROJECT, options.count, options.seed, options.rooms)
    counted = [mutant for mutant in mutants if name_of(mutant) not in known]
    survivors = []
    with copy_of_the_project() as folder:
        for number, mutant in enumerate(counted, start=1):
            began = time.monotonic()
            verdict = try_out(mutant, folder, nearest=options.nearest)
            told = f"noticed by {verdict.noticed_by}" if verdict.noticed_by else "SURVIVED"
            seconds = time.monotonic() - began
            print(f"{number}/{len(counted)} {mutant.path}:{mutant.line} {told} ({seconds:.0f} s)")
            if verdict.noticed_by is None:
                survivors.append(mutant)
                print(mutant.diff)
            sys.stdout.flush()
    share = 1 - len(survivors) / max(1, len(counted))
    print(
        f"{share:.1%} of {len(counted)} mutants noticed, {len(mutants) - len(counted)} equivalent"
    )
    sys.exit(share < WANTED)


def name_of(mutant: Mutant) -> str:
    """The mutant in one line that outlives changes elsewhere in the file."""
    return " | ".join([mutant.path, *(line.strip() for line in mutant.diff.splitlines())])


def known_equivalents() -> frozenset[str]:
    lines = EQUIVALENT.read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


if __name__ == "__main__":
    main()
