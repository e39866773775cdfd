"""Runs as values, for writers that take plain values: whatever verdicts, repeats and texts a test asks for."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mcprun.errors import ErrorKind
from mcprun.report.data import BaselineData, RunData
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.run_record import ModelRecord, PromptsRecord, RunRecord
from mcprun.runs.totals import RunTotals
from mcprun.runs.transcript import Call, Check, ErrorInfo, Transcript, Verdict

EVIL = "\x1b[2J<b>&\"'|`@me ]]> --> ##[error]x\r\n::error::y \u202e\ufffe\U0001f600 ``` [a](javascript:b) www.x.de"
"""Text as a hostile server would have it."""


def transcript(
    name: str, verdict: Verdict = Verdict.PASSED, repeat: int = 1, text: str = "5", **more: Any
) -> Transcript:
    """Make a transcript with one call, whose result and whose checks say `text`."""
    content = [{"type": "text", "text": text}]
    use = {"type": "tool_use", "id": "1", "name": "add", "input": {"a": 2}}
    held = verdict is not Verdict.FAILED
    could_not = verdict in (Verdict.ERROR, Verdict.SKIPPED)
    given: dict[str, Any] = {
        "stop": "end_turn", "prompt": "x", "model": "script", "text": text, "turns": [],
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [use]}],
        "calls": [Call(turn=0, tool="add", input={"a": 2}, is_error=False, content=content)],
        "checks": [Check(check="ended", passed=True), Check(check="calls", passed=held, message=None if held else text)],
        "error": ErrorInfo(kind=ErrorKind.SERVER_DIED, message=text) if could_not else None,
    }  # fmt: skip
    return Transcript(id=name, repeat=repeat, verdict=verdict, **(given | more))


def facts(
    *transcripts: Transcript,
    required: float | None = None,
    log: str = "",
    against: BaselineData | None = None,
    **more: Any,
) -> RunData:
    """Make the facts of a run with these transcripts; those of the same query are its repeats."""
    tally = RunTotals()
    verdicts: dict[str, dict[Verdict, int]] = {}
    for one in transcripts:
        tally.add(one)
        verdicts.setdefault(one.id, dict.fromkeys(Verdict, 0))[one.verdict] += 1
    given: dict[str, Any] = {
        "state": "finished", "started": "2026-01-01T00:00:00.000Z", "limits": {}, "versions": {"mcprun": "1"},
        "arguments": {"prompts": "p.jsonl", "server": "s.py"},
        "prompts": PromptsRecord(file="p.jsonl", sha256="0", queries=len(verdicts), runs=len(transcripts)),
        "model": ModelRecord(kind="script", name="script", chosen="asked for"),
        "counts": tally.counts(), "seconds": 1.5,
        "repeats": [
            summarize_repeats(name, counted, required) for name, counted in verdicts.items()
            if sum(counted.values()) > 1 or required is not None
        ],
    }  # fmt: skip
    record = RunRecord(**(given | more))
    return RunData(record, lambda: iter(transcripts), "outputs/run", tally.counts(), log=log, against=against)


EXCUSED = facts(transcript("q"), transcript("q", Verdict.FAILED, repeat=2), required=0.5)
"""A run that passes though a repeat failed."""


@st.composite
def runs(draw: st.DrawFn) -> RunData:
    """Any run that can be: finished, ended early, killed, with repeats and without, against a baseline and alone."""
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
    against = draw(st.none() | st.builds(BaselineData, st.just("base"), st.integers(0, 2), st.just("1 changed")))
    return facts(
        *lines,
        required=draw(st.none() | st.sampled_from([0.3, 0.5, 1.0])),
        against=against,
        state=state,
        error=ErrorInfo(kind=error, message="why") if error else None,
    )
