"""A long run of the model: `python -m tests.soak --minutes 30`; a failure is printed as a sequence made short."""

from __future__ import annotations

import argparse
import sys
import time

from tests.soak.actions import sequence
from tests.soak.shrink import failure_of, report


def main() -> int:
    """Play seeds until the time is over or a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="first seed")
    parser.add_argument("--count", type=int, default=sys.maxsize, help="at most so many sequences")
    options = parser.parse_args()
    begin, played = time.monotonic(), 0
    while played < options.count and time.monotonic() - begin < 60 * options.minutes:
        seed = options.seed + played
        failure = failure_of(sequence(seed))
        if failure is not None:
            print(report(seed, failure))
            return 1
        played += 1
    print(f"{played} sequences from seed {options.seed} in {time.monotonic() - begin:.0f} s: no promise broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
