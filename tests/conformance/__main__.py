"""`python -m tests.conformance [SCENARIO ...] [--write]`: run the protocol's own tests for clients, with mcprun as client.

Prints a line for each scenario and protocol version, with the number of checks that passed, and the suite's explanation of
each unknown failure. Exits with 1 if a scenario fails that `known.py` does not list, or if one passes that it lists.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conformance.known import KNOWN
from tests.conformance.suite import Outcome, Suite, Trial
from tests.conformance.table import BEGIN, END, markdown, rows, unexpected
from tests.support import npm
from tests.support.cli import ROOT
from tests.support.documents import replace_block

DOCUMENT = ROOT / "docs" / "conformance.md"


def main() -> int:
    """Run the named scenarios, by default all. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="scenarios to run (default: all)")
    parser.add_argument("--write", action="store_true", help=f"write the table of results into {DOCUMENT.name}")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="scenarios to run at once (default: 2)")
    options = parser.parse_args()
    if missing := npm.missing():
        parser.error(f"{' and '.join(missing)} not installed: the suite needs them")
    suite = Suite.install()
    trials = suite.trials()
    if unknown := [name for name in options.scenarios if name not in {trial.scenario for trial in trials}]:
        parser.error(f"the suite has no scenario {unknown[0]}")
    if options.write and options.scenarios:
        parser.error("--write needs the results of all scenarios")
    chosen = [trial for trial in trials if not options.scenarios or trial.scenario in options.scenarios]
    outcomes = list(print_outcomes(run(suite, chosen, options.jobs), is_verbose=bool(options.scenarios)))
    wrong = unexpected(outcomes, KNOWN)
    passed = sum(outcome.verdict == "passed" for outcome in outcomes)
    print(f"{passed} of {len(outcomes)} passed; {len(wrong)} not as known")
    for line in wrong:
        print(f"✗ {line}")
    if options.write:
        document = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(replace_block(document, BEGIN, END, markdown(rows(outcomes, KNOWN))), encoding="utf-8")
    return 1 if wrong else 0


def run(suite: Suite, trials: Iterable[Trial], jobs: int) -> Iterator[Outcome]:
    """Run trials, `jobs` at once, and yield their outcomes in order."""

    def attempt(trial: Trial) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="conformance-") as name:
            return suite.run(trial, Path(name))

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(attempt, trials)


def print_outcomes(outcomes: Iterable[Outcome], *, is_verbose: bool) -> Iterator[Outcome]:
    """Print and yield each outcome, with the suite's explanation of unknown failures, or of all if `is_verbose`."""
    for outcome in outcomes:
        trial = outcome.trial
        reason = "" if outcome.verdict == "passed" else KNOWN.get(trial.scenario, "")
        counts = f"{outcome.held:>2} of {outcome.checks:<2}"
        print(f"{outcome.verdict:<7}  {trial.scenario:<41}  {trial.protocol:<10}  {counts}  {reason}".rstrip())
        if outcome.verdict != "passed" and (is_verbose or not reason):
            print(outcome.printed)
        sys.stdout.flush()
        yield outcome


if __name__ == "__main__":
    sys.exit(main())
