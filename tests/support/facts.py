"""Build the data of a run (`RunData`) from transcripts, for tests of reports."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mcprun.errors import ErrorKind
from mcprun.report.baseline import BaselineData, QueryChange, Status
from mcprun.report.data import RunData
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.run_record import (
    BaselineRecord,
    ComparedCounts,
    CoverageOutcome,
    CoverageRecord,
    ModelRecord,
    PromptsRecord,
    RunRecord,
)
from mcprun.runs.totals import RunTotals
from mcprun.runs.transcript import Call, Check, ErrorInfo, Transcript, Verdict
from mcprun.tools.changes import ToolChange

EVIL = "\x1b[2J<b>&\"'|`@me ]]> --> ##[error]x\r\n::error::y \u202e\ufffe\U0001f600 ``` [a](javascript:b) www.x.de"
"""Text that a hostile server might send."""


def transcript(
    name: str, verdict: Verdict = Verdict.PASSED, repeat: int = 1, text: str = "5", **more: Any
) -> Transcript:
    """Return a transcript with one call. Its result, failed checks and error contain `text`."""
    content = [{"type": "text", "text": text}]
    use = {"type": "tool_use", "id": "1", "name": "add", "input": {"a": 2}}
    passed = verdict is not Verdict.FAILED
    has_error = verdict in (Verdict.ERROR, Verdict.SKIPPED)
    defaults: dict[str, Any] = {
        "stop": "end_turn", "prompt": "x", "model": "script", "text": text, "turns": [],
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [use]}],
        "calls": [Call(turn=0, tool="add", input={"a": 2}, is_error=False, content=content)],
        "checks": [Check(check="ended", passed=True), Check(check="calls", passed=passed, message=None if passed else text)],
        "error": ErrorInfo(kind=ErrorKind.SERVER_DIED, message=text) if has_error else None,
    }  # fmt: skip
    return Transcript(id=name, repeat=repeat, verdict=verdict, **(defaults | more))


def facts(
    *transcripts: Transcript,
    required: float | None = None,
    log: str = "",
    against: BaselineData | None = None,
    **more: Any,
) -> RunData:
    """Return the data of a run with these transcripts; those with the same id are repeats of a query."""
    tally = RunTotals()
    verdicts: dict[str, dict[Verdict, int]] = {}
    for one in transcripts:
        tally.add(one)
        verdicts.setdefault(one.id, dict.fromkeys(Verdict, 0))[one.verdict] += 1
    defaults: dict[str, Any] = {
        "state": "finished", "started": "2026-01-01T00:00:00.000Z", "limits": {}, "versions": {"mcprun": "1"},
        "arguments": {"prompts": "p.jsonl", "server": "s.py"},
        "prompts": PromptsRecord(file="p.jsonl", sha256="0", queries=len(verdicts), runs=len(transcripts)),
        "model": ModelRecord(kind="script", name="script", chosen="requested"),
        "counts": tally.counts(), "seconds": 1.5,
        "repeats": [
            summarize_repeats(name, counted, required) for name, counted in verdicts.items()
            if sum(counted.values()) > 1 or required is not None
        ],
    }  # fmt: skip
    if against:
        defaults["baseline"] = BaselineRecord(path=against.name, compared=against.counts)
    record = RunRecord(**(defaults | more))
    return RunData(record, lambda: iter(transcripts), "outputs/run", tally.counts(), log=log, against=against)


def comparison(
    *changes: QueryChange, name: str = "base", breaking: tuple[str, ...] = (), tools: tuple[ToolChange, ...] = ()
) -> BaselineData:
    """Return the comparison of a run with a baseline that has these differences."""
    counts = dict.fromkeys(("same", "added", "chance", "fewer"), 0)
    regressions = sum(change.is_regression for change in changes) + len(breaking)
    removed = tuple(change for change in changes if change.status == "removed")
    compared = ComparedCounts(
        **counts,
        changed=len(changes) - len(removed),
        removed=len(removed),
        regressions=regressions,
        breaking=len(breaking),
    )
    return BaselineData(
        name=name,
        counts=compared,
        changes={(change.id, change.repeat): change for change in changes if change.status != "removed"},
        removed=removed,
        breaking=breaking,
        lines=tuple(line for change in changes for line in change.lines),
        tools=tools,
    )


EXCUSED = facts(transcript("q"), transcript("q", Verdict.FAILED, repeat=2), required=0.5)
"""A run that passes although a repeat failed."""

_outcomes = st.none() | st.builds(
    CoverageOutcome,
    covered=st.just(1),
    tools=st.just(2),
    failures=st.lists(st.sampled_from(["--require b: it is not covered", EVIL]), max_size=2),
)


@st.composite
def runs(draw: st.DrawFn) -> RunData:
    """Generate runs: finished, interrupted or killed, with and without repeats, a baseline and coverage gates."""
    names = draw(st.lists(st.text(min_size=1, max_size=5), max_size=4, unique=True))
    error = draw(st.none() | st.sampled_from([ErrorKind.BUDGET, ErrorKind.SERVER_START, ErrorKind.CANCELLED]))
    state = "interrupted" if error else draw(st.sampled_from(["finished", "started", "interrupted"]))
    verdicts = [one for one in Verdict if error or one is not Verdict.SKIPPED]
    repeats = draw(st.integers(1, 3))
    lines = [
        transcript(name, draw(st.sampled_from(verdicts)), repeat, draw(st.text(max_size=5)))
        for name in names
        for repeat in range(1, repeats + 1)
    ]
    statuses: st.SearchStrategy[Status] = st.sampled_from(["regressed", "changed", "added"])
    changes = [QueryChange(one.id, one.repeat, draw(statuses), "why") for one in lines if draw(st.booleans())]
    changes += [QueryChange("gone", 1, "removed", "why")] if draw(st.booleans()) else []
    breaking = draw(st.sampled_from([(), ("add: gone",)]))
    against = draw(st.none() | st.just(comparison(*changes, breaking=breaking)))
    return facts(
        *lines,
        required=draw(st.none() | st.sampled_from([0.3, 0.5, 1.0])),
        against=against,
        state=state,
        error=ErrorInfo(kind=error, message="why") if error else None,
        coverage=draw(st.none() | st.builds(CoverageRecord, outcome=_outcomes)),
    )
