"""`mcprun diff` of two runs of 100,000 queries, compared with only reading both files with `json.loads`."""

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
"""A higher limit: scrubbing also searches every text for patterns."""

READ = """
import json, sys
for name in sys.argv[1:]:
    with open(name, "rb") as stream:
        for line in stream:
            json.loads(line)
"""

Change = Callable[[int, dict[str, Any]], None]


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure runs that are equal, or differ in tool use ids or in results, also with `--scrub` and with repeats."""
    base = write(folder / "base", lambda *_: None)
    for name, change, flags, allowed in (
        ("the same bytes", lambda *_: None, [], ALLOWED),
        ("other tool use ids", change_ids, [], ALLOWED),
        ("every result differs", change_result, [], ALLOWED),
        ("every result differs, as JSON", change_result, ["--json"], ALLOWED),
        ("a tenth differs", change_one_in_ten, [], ALLOWED),
        ("every result differs, scrubbed twice", change_result, ["--scrub", "uuid", "--scrub", "port"], SCRUBBING),
    ):
        yield measure_diff(f"diff: {name}", base, write(folder / "head", change), flags, rounds, allowed)
    base = write(folder / "base", make_repeats)
    yield measure_diff("diff: ten repeats each", base, write(folder / "head", change_one_repeat), [], rounds)


def measure_diff(name: str, base: Path, head: Path, flags: list[str], rounds: int, allowed: float = ALLOWED) -> Figure:
    """Measure one pair of runs."""
    command = [sys.executable, "-m", "mcprun", "diff", str(base), str(head), *flags]
    floor = [sys.executable, "-c", READ, str(base), str(head)]
    return measure(name, command, floor, allowed=allowed, rounds=rounds)


def write(file: Path, change: Change) -> Path:
    """Write a file of transcripts, and apply `change` to each."""
    with file.open("w", encoding="utf-8") as stream:
        for number in range(LINES):
            line = transcript(number)
            change(number, line)
            stream.write(json.dumps(line, separators=(",", ":")) + "\n")
    return file


def change_ids(number: int, line: dict[str, Any]) -> None:
    """Change the tool use id, which differs between any two live runs."""
    line["messages"][1]["content"][0]["id"] += "x"


def change_result(number: int, line: dict[str, Any]) -> None:
    """Change the result, both of the call and of the message to the model."""
    for call in line["calls"]:
        call["structured"] = {**call["structured"], "note": f"{number}!"}
        call["content"][0]["text"] = json.dumps(call["structured"], indent=2)
    line["messages"][2]["content"][0]["content"][0]["text"] += "!"


def change_one_in_ten(number: int, line: dict[str, Any]) -> None:
    """Change every tool use id and every tenth result, as two live runs of a stable server differ."""
    change_ids(number, line)
    if not number % 10:
        change_result(number, line)


def make_repeats(number: int, line: dict[str, Any]) -> None:
    """Turn every ten transcripts into ten repeats of a query."""
    line["id"], line["repeat"] = f"query-{number // 10:06}", number % 10 + 1


def change_one_repeat(number: int, line: dict[str, Any]) -> None:
    """Change the result of one of every ten repeats."""
    make_repeats(number, line)
    if not number % 10:
        change_result(number, line)


def transcript(number: int) -> dict[str, Any]:
    """Return a transcript of two turns and two calls, with structured content and the same content as text."""
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
