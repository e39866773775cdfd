"""Shared by tests of bounded_evaluation."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.cli import SERVERS, script

SLOW = "a" * 40 + "!"
"""Text for which `^(a+)+$` takes 2^40 steps."""

SERVER = f"{sys.executable} {SERVERS / 'scripted.py'} offer"

OBJECT = {"type": "object"}


def slow(number: int) -> str:
    """Make a pattern that takes for ever on `SLOW`, another one for each number."""
    return f"^(?:x{number}|(a+)+)$"


def bomb(depth: int = 24) -> dict[str, Any]:
    """Make a schema that doubles the work with each of its levels."""
    levels = {f"n{level}": {"allOf": [{"$ref": f"#/$defs/n{level + 1}"}] * 2} for level in range(depth)}
    return {"$ref": "#/$defs/n0", "$defs": {**levels, f"n{depth}": {}}}


def query_with_text(number: int, text: Any, **expected: Any) -> dict[str, Any]:
    """Make a query whose model says some text, or a JSON value, and that expects something of it."""
    content = text if isinstance(text, str) else json.dumps(text)
    return script(text=content, expect={"text": expected}) | {"id": f"q{number}"}


def asking(number: int, answer: Any) -> dict[str, Any]:
    """Make a query that calls a tool that asks, with an answer to it."""
    return script((f"ask{number}", {}), elicit=[answer]) | {"id": f"q{number}"}


def matching(number: int) -> dict[str, Any]:
    """Make a query whose second call takes a part of the first result."""
    found = {"$from": 0, "match": slow(number)}
    turns = [{"calls": [{"tool": "says", "input": {}}]}, {"calls": [{"tool": "says", "input": {"x": found}}]}]
    return {"id": f"q{number}", "prompt": "?", "script": [*turns, {"text": "Done."}]}


def expecting(number: int) -> dict[str, Any]:
    """Make a query that expects a result by a pattern."""
    call = {"tool": "says", "result": {"$oneof": [{"$regex": slow(number)}, "nothing"]}}
    return script(("says", {}), expect={"calls": [call]}) | {"id": f"q{number}"}


PLACES: dict[str, tuple[Callable[[int], dict[str, Any]], str]] = {
    "expect.text.regex": (lambda n: query_with_text(n, SLOW, regex=slow(n)), "the pattern '^(?:x{0}|(a+)+)$' took"),
    "pattern": (
        lambda n: query_with_text(n, [SLOW], json_schema={"items": {"pattern": slow(n)}}),
        "the pattern '^(?:x{0}|(a+)+)$' of the schema took",
    ),
    "patternProperties": (
        lambda n: query_with_text(n, {SLOW: 1}, json_schema={"patternProperties": {slow(n): False}}),
        "the pattern '^(?:x{0}|(a+)+)$' of the schema took",
    ),
    "allOf": (lambda n: query_with_text(n, 1, json_schema={"title": f"{n}", **bomb()}), "the schema took"),
    "$regex": (expecting, "the pattern '^(?:x{0}|(a+)+)$' took"),
    "script.match": (matching, "the pattern '^(?:x{0}|(a+)+)$' took"),
    "elicit.match": (lambda n: asking(n, {"action": "decline", "match": slow(n)}), "elicitation '"),
    "requestedSchema": (lambda n: asking(n, {"content": {"a": SLOW}}), "elicitation '"),
    "outputSchema": (
        lambda n: script((f"out{n}", {})) | {"id": f"q{n}"},
        "the result of out{0} could not be validated against its output schema: the pattern '^(?:x{0}|(a+)+)$' of the",
    ),
}
"""How to make a query that is held up there, by a pattern with a number in it, and what its error begins with."""


def offer(folder: Path, *numbers: int, result: str = SLOW) -> None:
    """Write what the server offers, for queries of these numbers; the tool `result` returns a text."""
    structured = {"content": [], "structuredContent": {"t": SLOW}}
    form = {number: {**OBJECT, "properties": {"a": {"type": "string", "pattern": slow(number)}}} for number in numbers}
    outputs = {n: {**OBJECT, "properties": {"t": {"type": "string", "pattern": slow(n)}}} for n in numbers}
    tools = [{"name": "says", "inputSchema": OBJECT}, {"name": "quick", "inputSchema": OBJECT}]
    tools += [{"name": f"ask{number}", "inputSchema": OBJECT} for number in numbers]
    tools += [{"name": f"out{n}", "inputSchema": OBJECT, "outputSchema": schema} for n, schema in outputs.items()]
    asked = {f"ask{n}": {"message": SLOW, "requestedSchema": schema} for n, schema in form.items()}
    results = {"says": {"content": [{"type": "text", "text": result}]}, **{f"out{n}": structured for n in numbers}}
    (folder / "offer").write_text(json.dumps({"tools": tools, "asks": asked, "results": results}), encoding="utf-8")
