"""The queries of a run as lines for a terminal, those that did not pass first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from mcprun.report.causes import skip_reason
from mcprun.report.conversation import prompt_start
from mcprun.report.data import REGRESSED, RunData
from mcprun.report.fault_isolation import render
from mcprun.report.progress import label
from mcprun.report.styles import STYLES
from mcprun.report.text import one_line, plural
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript, Verdict

Which = Literal["red", "all", ""]
"""The queries to list: those that did not pass, all of them, or all but the passed and skipped ones of a red run."""

_LABEL, _DESCRIPTION = 40, 200
"""Maximum number of columns of an id, and of characters of a prompt."""

_CAUSE = 1000
"""Maximum number of characters of a cause."""


@dataclass(frozen=True, slots=True)
class Row:
    """A query: a line of what it is, and for each cause a line that belongs below it."""

    line: Text
    causes: tuple[Text, ...]


def query_rows(run: Run, facts: RunData, which: Which = "") -> Iterator[Row]:
    """Yield the queries of a run: errors, failures, regressions, flaky and diverged ones, others, and skipped ones.

    Memory holds an offset for each query. Raises `UsageError` if a line is not a transcript.
    """
    flaky = {one.id for one in run.record.repeats if one.flaky}
    places, offset, width, counts = [], 0, 0, Counter[int]()
    for transcript, line in run.lines(run.path):
        rank = _rank(transcript, facts, transcript.id in flaky)
        if which != "red" or facts.is_red(transcript):
            places.append((rank, offset))
            width = max(width, len(label(transcript)))
        counts[rank] += 1
        offset += len(line)
    width_of_verdict = len(REGRESSED) if facts.against and facts.against.counts.regressions else len("skipped")
    collapsed = {_PASSED: "passed", _SKIPPED: "skipped"} if not which and facts.why else {}
    widths = width_of_verdict, min(width, _LABEL)
    for rank, place in sorted(places):
        if rank in collapsed:
            continue
        yield render(run.at(place), lambda one: _row(one, facts, widths, is_flaky=one.id in flaky))
    run.close()
    if left := ", ".join(f"{counts[rank]:,} {word}" for rank, word in collapsed.items() if counts[rank]):
        yield Row(Text(f"{left} (--all lists them)", "dim"), ())


_ERROR, _FAILED, _REGRESSED, _FLAKY, _DIVERGED, _PASSED, _SKIPPED = range(7)
_RED = {Verdict.ERROR: _ERROR, Verdict.FAILED: _FAILED, REGRESSED: _REGRESSED}


def _rank(transcript: Transcript, facts: RunData, is_flaky: bool) -> int:
    """Return the position of a query in the list."""
    if facts.is_red(transcript):
        return _RED[facts.outcome(transcript)]
    if transcript.verdict is Verdict.SKIPPED:
        return _SKIPPED
    return _FLAKY if is_flaky else _DIVERGED if transcript.diverged else _PASSED


def _row(transcript: Transcript, facts: RunData, widths: tuple[int, int], *, is_flaky: bool) -> Row:
    outcome = facts.outcome(transcript)
    causes = [] if transcript.verdict is Verdict.SKIPPED else facts.causes(transcript)
    about = skip_reason(transcript) if transcript.verdict is Verdict.SKIPPED else ""
    prompt = one_line(about or transcript.cause or prompt_start(transcript.prompt), _DESCRIPTION) if not causes else ""
    diverged = plural(transcript.diverged, "diverged call") if transcript.diverged else ""
    line = Text.assemble(
        (f"{outcome:<{widths[0]}} ", STYLES[Verdict.FAILED if outcome == REGRESSED else transcript.verdict]),
        f"{label(transcript):<{widths[1]}} ",
        (f"{_size(transcript)}  ", "dim"),
        (", ".join(filter(None, ("flaky" if is_flaky else "", diverged, prompt))), "dim"),
    )
    line.rstrip()
    return Row(line, tuple(Text(one_line(cause, _CAUSE)) for cause in causes))


def _size(transcript: Transcript) -> str:
    """Return the number of turns and of calls, or of those that a routed query asks for."""
    calls = transcript.calls if transcript.routed is None else transcript.routed
    noun, width = ("call", 8) if transcript.routed is None else ("request", 11)
    return f"{plural(len(transcript.turns), 'turn'):>8} {plural(len(calls), noun):>{width}}"
