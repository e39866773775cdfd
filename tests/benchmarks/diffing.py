"""`mcprun diff` of two runs of 100,000 queries, against reading both files with `json.loads` and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.ratios import Figure, measure

LINES = 100_000
ALLOWED = 4.0
SCRUBBING = 6.0
"""Looking for patterns in every text is work that nobody asks of a plain comparison."""

READ = """
import json, sys
for name in sys.argv[1:]:
    with open(name, "rb") as stream:
        for line in stream:
            json.loads(line)
"""

Change = Callable[[int, dict[str, Any]], None]


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure runs that differ in nothing, in ids of tool uses only, in every result; scrubbed, and with repeats."""
    base = write(folder / "base", lambda *_: None)
    for name, change, flags, allowed in (
        ("the same bytes", lambda *_: None, [], ALLOWED),
        ("other tool use ids", other_ids, [], ALLOWED),
        ("every result differs", other_result, [], ALLOWED),
        ("every result differs, as JSON", other_result, ["--json"], ALLOWED),
        ("a tenth differs", one_in_ten, [], ALLOWED),
        ("every result differs, scrubbed twice", other_result, ["--scrub", "uuid", "--scrub", "port"], SCRUBBING),
    ):
        yield compared(f"diff: {name}", base, write(folder / "head", change), flags, rounds, allowed)
    base = write(folder / "base", repeated)
    yield compared("diff: ten repeats each", base, write(folder / "head", other_repeat), [], rounds)


def compared(name: str, base: Path, head: Path, flags: list[str], rounds: int, allowed: float = ALLOWED) -> Figure:
    """Measure one pair."""
    command = [sys.executable, "-m", "mcprun", "diff", str(base), str(head), *flags]
    floor = [sys.executable, "-c", READ, str(base), str(head)]
    return measure(name, command, floor, allowed=allowed, rounds=rounds)


def write(file: Path, change: Change) -> Path:
    """Write a file of transcripts, each after a change."""
    with file.open("w", encoding="utf-8") as stream:
        for number in range(LINES):
            line = transcript(number)
            change(number, line)
            stream.write(json.dumps(line, separators=(",", ":")) + "\n")
    return file


def other_ids(number: int, line: dict[str, Any]) -> None:
    """Another id of the API's, as any two live runs have them."""
    line["messages"][1]["content"][0]["id"] += "x"


def other_result(number: int, line: dict[str, Any]) -> None:
    """Another result, in the call and in what the model was told."""
    for call in line["calls"]:
        call["structured"] = {**call["structured"], "note": f"{number}!"}
        call["content"][0]["text"] = json.dumps(call["structured"], indent=2)
    line["messages"][2]["content"][0]["content"][0]["text"] += "!"


def one_in_ten(number: int, line: dict[str, Any]) -> None:
    """Another result in every tenth query, other ids in all, as two live runs of a good server have them."""
    other_ids(number, line)
    if not number % 10:
        other_result(number, line)


def repeated(number: int, line: dict[str, Any]) -> None:
    """Ten repeats of each query."""
    line["id"], line["repeat"] = f"query-{number // 10:06}", number % 10 + 1


def other_repeat(number: int, line: dict[str, Any]) -> None:
    """One of ten repeats goes another way."""
    repeated(number, line)
    if not number % 10:
        other_result(number, line)


def transcript(number: int) -> dict[str, Any]:
    """Make a transcript of two turns and two calls, with structured content and the text that repeats it."""
    message = f"The item {number} was last seen on 2026-11-20T10:11:12Z in warehouse 7, with {number * 3} pieces left."
    usage = {"input_tokens": 900, "output_tokens": 60, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    use = {"type": "tool_use", "id": f"toolu_{number:024}", "name": "stock", "input": {"item": number, "detail": True}}
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": [{"type": "text", "text": message}]}
    stock = {"item": number, "told": message, "pieces": number * 3, "places": [{"warehouse": 7, "shelf": number % 90}]}
    prompt = f"How many pieces of item {number} are left, and where?"
    return {
        "schema": 1, "id": f"query-{number:06}", "repeat": 1, "verdict": "passed", "stop": "end_turn",
        "prompt": prompt, "system": None, "model": "claude-sonnet-5-5",
        "messages": [
            {"role": "user", "content": prompt}, {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": [{"type": "text", "text": f"There are {number * 3} pieces left."}]},
        ],
        "calls": [
            {"turn": 0, "tool": tool, "input": use["input"], "is_error": False,
             "content": [{"type": "text", "text": json.dumps(stock, indent=2)}], "structured": stock, "diverged": False}
            for tool in ("stock", "price")
        ],
        "text": f"There are {number * 3} pieces left.",
        "checks": [{"check": name, "passed": True, "message": None} for name in ("ended", "tool_errors", "calls")],
        "turns": [{"stop_reason": "tool_use", "usage": usage}, {"stop_reason": "end_turn", "usage": usage}],
        "attempts": 1, "usage": usage, "error": None,
    }  # fmt: skip
