"""Test Anything Protocol, version 14 (https://testanything.org/tap-version-14-specification.html)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from mcprun.report.cause_text import TITLE, headline
from mcprun.report.cause_text import lines as why_lines
from mcprun.report.causes import failure_kind, skip_reason
from mcprun.report.data import RunData
from mcprun.report.fault_isolation import render
from mcprun.report.progress import label, repeat_label
from mcprun.report.routing import sentences
from mcprun.report.text import one_line
from mcprun.runs.transcript import Transcript, Verdict

_REASON = 300
"""Maximum number of characters of a directive's reason; the diagnostics have all of it."""


def tap(facts: RunData) -> str:
    """Return a run as TAP, with one test point per repeat of a query and causes as YAML diagnostics.

    Only points that are `not ok` without a directive count as failures. A failed repeat of a query that reaches its
    required pass rate is marked TODO, a skipped query SKIP. An incomplete run, a comparison with a baseline, each query
    that only the baseline has, and coverage gates, have a test point of their own, before all others. The causes of a
    red run, and the routing of a routed one, are comments before them.
    """
    points = [*_run(facts), *(render(one, partial(_query, facts=facts)) for one in facts.transcripts())]
    lines = ["TAP version 14", f"1..{len(points)}"]
    if facts.why:
        lines += [f"# {_escaped(line)}" for line in (TITLE, *why_lines(facts.why))]
    if facts.routing:
        lines.append(f"# Routing: {_escaped('; '.join(sentences(facts.routing)))}")
    for number, (is_ok, name, directive, diagnostics) in enumerate(points, 1):
        lines.append(f"{'ok' if is_ok else 'not ok'} {number} - {_escaped(name)}{directive}")
        if diagnostics:
            lines += ["  ---", *(f"  {key}: {json.dumps(value)}" for key, value in diagnostics.items()), "  ..."]
    return "\n".join(lines) + "\n"


_Point = tuple[bool, str, str, dict[str, object]]
"""A test point: whether it is ok, its name, directive and diagnostics."""


def _query(transcript: Transcript, facts: RunData) -> _Point:
    reasons = facts.causes(transcript)
    if regression := facts.regression(transcript):
        details = {"verdict": facts.outcome(transcript), "kind": "regression", "message": reasons[0]}
        return False, label(transcript), "", {**details, "causes": reasons, "differences": regression.lines}
    if transcript.verdict is Verdict.PASSED:
        return True, label(transcript), "", {}
    if transcript.verdict is Verdict.SKIPPED:
        return True, label(transcript), f" # SKIP {_escaped(one_line(skip_reason(transcript), _REASON))}", {}
    directive = " # TODO the query reached its required pass rate" if facts.is_excused(transcript) else ""
    details = {
        "verdict": str(transcript.verdict),
        "kind": failure_kind(transcript),
        "message": reasons[0] if reasons else "",
    }
    return False, label(transcript), directive, {**details, "causes": reasons} if len(reasons) > 1 else {**details}


def _run(facts: RunData) -> Iterator[_Point]:
    if why := facts.trouble:
        yield False, "run", "", {"message": headline(facts.why[0]) if facts.why else why}
    if against := facts.against:
        breaking = against.breaking
        causes = {"baseline": against.name, "kind": "regression", "message": "; ".join(breaking)}
        yield not breaking, "baseline", "", {**causes} if breaking else {}
        for removed in against.removed:
            yield False, repeat_label(removed.id, removed.repeat), "", {"kind": "regression", "message": removed.cause}
    if facts.record.coverage and facts.record.coverage.outcome:
        failures = facts.record.coverage_failures
        yield not failures, "coverage", "", {"kind": "coverage", "message": "; ".join(failures)} if failures else {}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("#", "\\#").replace("\n", " ")
