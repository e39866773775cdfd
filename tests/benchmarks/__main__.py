"""`python -m tests.benchmarks [SUITE ...] [--rounds N] [--json FILE] [--write]`: measure, and print the figures.

Exits with 1 if a limit is exceeded. `beside` also prints tables of what it measured; `--write` updates the record beside
this file and the tables in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import (
    beside,
    calls,
    cluster,
    diffing,
    in_flight,
    latency,
    many_calls,
    memory,
    million,
    overhead,
    page,
    startup,
)
from tests.benchmarks.comparison import Record
from tests.benchmarks.ratios import Figure

SUITES: dict[str, Callable[[Path, int], Iterable[Figure]]] = {
    "overhead": overhead.figures,
    "latency": latency.figures,
    "calls": calls.figures,
    "in-flight": in_flight.figures,
    "startup": startup.figures,
    "memory": memory.figures,
    "diff": diffing.figures,
    "many-calls": many_calls.figures,
    "page": page.figures,
    "million": million.figures,
    "beside": beside.measure,
    "ray": cluster.figures,
}
ONLY_WHEN_NAMED = ("million", "beside", "ray")


def main() -> int:
    """Run the named suites, by default all except `ONLY_WHEN_NAMED`. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "suites",
        nargs="*",
        help=f"suites to run ({', '.join(SUITES)}); by default all but {', '.join(ONLY_WHEN_NAMED)}",
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each pair (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--write", action="store_true", help="replace the tables of `beside` in the documentation")
    options = parser.parse_args()
    if unknown := [name for name in options.suites if name not in SUITES]:
        parser.error(f"unknown suite {unknown[0]}; choose from {', '.join(SUITES)}")
    if options.write and "beside" not in options.suites:
        parser.error("--write needs the suite beside")
    figures: list[Figure] = []
    print(f"{'what':<58} {'ratio':>6} {'least':>6} {'most':>6} {'allowed':>8}   what was measured")
    for name in options.suites or [name for name in SUITES if name not in ONLY_WHEN_NAMED]:
        with tempfile.TemporaryDirectory() as folder:
            measured = SUITES[name](Path(folder), options.rounds)
            for figure in measured:
                figures.append(figure)
                mark = "" if figure.is_met else "  BROKEN"
                numbers = f"{figure.median:6.2f} {figure.minimum:6.2f} {figure.maximum:6.2f} {figure.allowed:8.2f}"
                values = f"{figure.values[0]:.2f} / {figure.values[1]:.2f} {figure.unit}"
                print(f"{figure.name:<58} {numbers}   {values}{mark}")
                sys.stdout.flush()
        if isinstance(measured, Record):
            print("", measured.markdown, "", sep="\n")
            if options.write:
                measured.write()
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
