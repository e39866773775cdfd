"""One query with 10,000 calls: comparing two runs of it, aligning its calls, and matching them in any order.

Each takes less than a second of processor time, whatever the calls are: inputs that alternate, all differ or are all
equal, or expected calls that must all be reassigned to match the last one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mcprun.analysis.diff.runs import RunDiff
from mcprun.analysis.diff.transcripts import CompareOptions, align
from mcprun.checks.calls import any_order
from mcprun.checks.expect import ExpectedCall
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from tests.benchmarks.ratios import Figure, compare

CALLS = 10_000
SECONDS = 1.0

Inputs = Callable[[int], Any]


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure each kind of input against `SECONDS`."""
    for name, before, after in (
        ("alternate", lambda at: at % 2, lambda at: (at + 1) % 2),
        ("all differ", lambda at: at, lambda at: -at - 1),
        ("are in reverse", lambda at: at, lambda at: CALLS - at),
        ("are the same, but for a tenth", lambda _: 0, lambda at: int(at % 10 == 0)),
    ):
        base, head = calls(before), calls(after)
        yield clock(f"align: inputs {name}", lambda base=base, head=head: list(align(base, head)), rounds)  # type: ignore[misc]
        lines = [transcript(base)], [transcript(head)]
        yield clock(f"diff: inputs {name}", lambda lines=lines: list(RunDiff(CompareOptions()).compare(*lines)), rounds)  # type: ignore[misc]
    show = ValueFormatter()
    for name, expected, result in (
        ("inputs that all differ", lambda at: {"input": {"x": CALLS - 1 - at}}, str),
        ("results that all differ", lambda at: {"result": {"n": at}}, lambda at: f'{{"n": {at}}}'),
        ("one that all have to move for", staircase, str),
        ("any of them", lambda _: {}, str),
    ):
        expect = [ExpectedCall.model_validate({"tool": "t", **expected(at)}) for at in range(CALLS)]
        sent = [Call.model_validate(one) for one in calls(lambda at: at, result)]
        yield clock(f"any_order: {name}", lambda expected=expect, calls=sent: any_order(expected, calls, show), rounds)  # type: ignore[misc]


def clock(name: str, function: Callable[[], object], rounds: int) -> Figure:
    """Measure the processor time of a function as a ratio of `SECONDS`."""

    def seconds() -> float:
        before = time.process_time()
        function()
        return time.process_time() - before

    return compare(f"{CALLS:,} calls, {name}", seconds, lambda: SECONDS, allowed=1.0, rounds=rounds)


def calls(input_of: Inputs, result_of: Callable[[int], str] = str) -> list[dict[str, Any]]:
    """Return `CALLS` calls in the form of a transcript file."""
    return [
        {
            "turn": 0, "tool": "t", "input": {"x": input_of(at)}, "is_error": False,
            "content": [{"type": "text", "text": result_of(at)}], "structured": None,
        }
        for at in range(CALLS)
    ]  # fmt: skip


def transcript(sent: list[dict[str, Any]]) -> bytes:
    """Return the transcript line of a query with these calls."""
    line = {
        "schema": 1, "id": "q", "repeat": 1, "verdict": "passed", "stop": "end_turn", "calls": sent, "text": "",
        "turns": [], "usage": None, "error": None,
    }  # fmt: skip
    return json.dumps(line).encode() + b"\n"


def staircase(at: int) -> dict[str, Any]:
    """Return an expected call that matches two calls, or for the last one, only the first call."""
    return {"input": {"x": {"$oneof": [at, at + 1]} if at < CALLS - 1 else 0}}
