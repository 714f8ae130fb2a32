"""``python -m support.fuzz --graphs 100000 --seed 0 --jobs 2``: check many random programs, print those that fail."""

from __future__ import annotations

import argparse
import sys
import time

from support.fuzz.chunks import CHUNK, checked, engines_of
from support.fuzz.graphs import random_case
from support.fuzz.isolate import fault, smallest


def main(arguments: list[str] | None = None) -> int:
    """Return how many programs failed, at most 100."""
    parser = argparse.ArgumentParser(prog="python -m support.fuzz", description=__doc__)
    parser.add_argument("--graphs", type=int, default=2000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--machine",
        default="",
        help="avx512, avx2 or sse: machine code for a lesser machine",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--shrink",
        action="store_true",
        help="make every failing program small and print it",
    )
    options = parser.parse_args(arguments)
    started, done, compared, elements, failed = time.time(), 0, 0, 0, []
    for outcomes in checked(
        options.seed, options.graphs, options.jobs, options.machine
    ):
        for outcome in outcomes:
            compared += outcome.verdict.compared
            elements += outcome.verdict.elements
            if outcome.verdict.fault:
                failed.append(outcome.seed)
                print(f"seed {outcome.seed}: {outcome.verdict.fault}", flush=True)
                if options.shrink:
                    engines = engines_of(options.machine)
                    small = smallest(random_case(outcome.seed), engines)
                    print(f"{fault(small, engines)}\n{small.code()}\n", flush=True)
        done += len(outcomes)
        if done % 1000 < CHUNK:
            print(
                f"{done:,} programs, {len(failed)} failed, {time.time() - started:.0f} s",
                flush=True,
            )
    share = compared / max(1, elements)
    print(
        f"{done:,} programs, {len(failed)} failed; {compared:,} elements compared, {share:.2%} of all; seeds {failed}"
    )
    return min(len(failed), 100)


if __name__ == "__main__":
    sys.exit(main())
