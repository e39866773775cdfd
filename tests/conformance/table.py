"""The table of results, and the results that differ from the known ones. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from tests.conformance.suite import Outcome

HEAD = ("scenario", "protocol", "verdict", "checks", "why not")
BEGIN = "<!-- made by `python -m tests.conformance --write`: begin -->\n"
END = "<!-- end -->\n"

Row = tuple[str, str, str, str, str]


def rows(outcomes: Iterable[Outcome], known: Mapping[str, str]) -> Iterator[Row]:
    """Return the rows of the table. Protocol versions of a scenario with equal outcomes share a row."""
    for (scenario, verdict, checks), same in groupby(outcomes, _result):
        protocols = ", ".join(outcome.trial.protocol for outcome in same)
        yield scenario, protocols, verdict, checks, "" if verdict == "passed" else known.get(scenario, "")


def _result(outcome: Outcome) -> tuple[str, str, str]:
    return outcome.trial.scenario, outcome.verdict, f"{outcome.held} of {outcome.checks}"


def unexpected(outcomes: Sequence[Outcome], known: Mapping[str, str]) -> list[str]:
    """Describe unexpected outcomes: failures without a known reason, and passes with one."""
    tried = {outcome.trial.scenario for outcome in outcomes}
    not_passed = {outcome.trial.scenario for outcome in outcomes if outcome.verdict != "passed"}
    return [
        *(f"{name} did not pass" for name in sorted(not_passed - known.keys())),
        *(f"{name} passed, and known.py says why it can't" for name in sorted((tried & known.keys()) - not_passed)),
    ]


def markdown(table: Iterable[Row]) -> str:
    """Return the table as Markdown, between two markers."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    lines += [f"| `{scenario}` | {' | '.join(rest)} |" for scenario, *rest in table]
    return BEGIN + "\n".join(lines) + "\n" + END


def parse_rows(document: str) -> list[Row]:
    """Parse the rows of the table in a document."""
    lines = document.partition(BEGIN)[2].partition(END)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [
        (scenario.strip("`"), protocols, verdict, checks, why) for scenario, protocols, verdict, checks, why in cells
    ]
