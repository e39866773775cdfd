"""TAP, version 14 (https://testanything.org/tap-version-14-specification.html)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from mcprun.report.data import RunData
from mcprun.report.excerpt import causes, kind
from mcprun.report.isolated import shown
from mcprun.report.progress import named
from mcprun.report.text import one_line
from mcprun.runs.records import Transcript, Verdict

_REASON = 300
"""Characters of a directive's reason; the diagnostics below have all."""


def tap(facts: RunData) -> str:
    """Write a run as TAP: one test point for each repeat of a query, causes as YAML diagnostics.

    What is `not ok` without a directive makes the run's exit code. A failed repeat that its query's pass rate excuses
    is marked TODO, what the run did not come to SKIP. A run that is not whole, and one that is worse than its baseline,
    have a test point of their own, first.
    """
    points = [*_run(facts), *(shown(one, partial(_query, facts=facts)) for one in facts.transcripts())]
    lines = ["TAP version 14", f"1..{len(points)}"]
    for number, (is_ok, name, directive, told) in enumerate(points, 1):
        lines.append(f"{'ok' if is_ok else 'not ok'} {number} - {_escaped(name)}{directive}")
        if told:
            lines += ["  ---", *(f"  {key}: {json.dumps(value)}" for key, value in told.items()), "  ..."]
    return "\n".join(lines) + "\n"


_Point = tuple[bool, str, str, dict[str, object]]
"""A test point: whether it is ok, its name, its directive, its diagnostics."""


def _query(transcript: Transcript, facts: RunData) -> _Point:
    told = causes(transcript)
    if transcript.verdict is Verdict.PASSED:
        return True, named(transcript), "", {}
    if transcript.verdict is Verdict.SKIPPED:
        return True, named(transcript), f" # SKIP {_escaped(one_line('; '.join(told), _REASON))}", {}
    directive = " # TODO enough of this query's runs passed" if facts.excuses(transcript) else ""
    told_more = {"verdict": str(transcript.verdict), "kind": kind(transcript), "message": told[0] if told else ""}
    return False, named(transcript), directive, {**told_more, "causes": told} if len(told) > 1 else {**told_more}


def _run(facts: RunData) -> Iterator[_Point]:
    if why := facts.trouble:
        yield False, "run", "", {"message": why}
    if against := facts.against:
        told = {"baseline": against.name, "message": against.totals}
        yield not against.regressions, "baseline", "", {**told} if against.regressions else {}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("#", "\\#").replace("\n", " ")
