"""Build patterns and schemas that take exponential time, and queries that evaluate them."""

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
    """Return a pattern that takes exponential time on `SLOW`; patterns of different numbers differ."""
    return f"^(?:x{number}|(a+)+)$"


def bomb(depth: int = 24) -> dict[str, Any]:
    """Return a schema whose evaluation doubles its work at each level."""
    levels = {f"n{level}": {"allOf": [{"$ref": f"#/$defs/n{level + 1}"}] * 2} for level in range(depth)}
    return {"$ref": "#/$defs/n0", "$defs": {**levels, f"n{depth}": {}}}


def query_with_text(number: int, text: Any, **expected: Any) -> dict[str, Any]:
    """Return a query whose model returns `text`, encoded as JSON unless it is a string, with `expected` as its check."""
    content = text if isinstance(text, str) else json.dumps(text)
    return script(text=content, expect={"text": expected}) | {"id": f"q{number}"}


def asking(number: int, answer: Any) -> dict[str, Any]:
    """Return a query that calls the tool `ask<number>` and answers its elicitation."""
    return script((f"ask{number}", {}), elicit=[answer]) | {"id": f"q{number}"}


def matching(number: int) -> dict[str, Any]:
    """Return a query whose second call extracts its input from the first result by a slow pattern."""
    extracted = {"$from": 0, "match": slow(number)}
    turns = [{"calls": [{"tool": "says", "input": {}}]}, {"calls": [{"tool": "says", "input": {"x": extracted}}]}]
    return {"id": f"q{number}", "prompt": "?", "script": [*turns, {"text": "Done."}]}


def expecting(number: int) -> dict[str, Any]:
    """Return a query that expects a result that matches a slow pattern."""
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
"""Each place where a pattern or a schema is evaluated: a query that is slow there, and the start of its error."""


def offer(folder: Path, *numbers: int, result: str = SLOW) -> None:
    """Write the file `offer` of the server, for queries with these numbers. The tool `says` returns the text `result`."""
    structured = {"content": [], "structuredContent": {"t": SLOW}}
    forms = {number: {**OBJECT, "properties": {"a": {"type": "string", "pattern": slow(number)}}} for number in numbers}
    outputs = {n: {**OBJECT, "properties": {"t": {"type": "string", "pattern": slow(n)}}} for n in numbers}
    tools = [{"name": "says", "inputSchema": OBJECT}, {"name": "quick", "inputSchema": OBJECT}]
    tools += [{"name": f"ask{number}", "inputSchema": OBJECT} for number in numbers]
    tools += [{"name": f"out{n}", "inputSchema": OBJECT, "outputSchema": schema} for n, schema in outputs.items()]
    elicitations = {f"ask{n}": {"message": SLOW, "requestedSchema": schema} for n, schema in forms.items()}
    results = {"says": {"content": [{"type": "text", "text": result}]}, **{f"out{n}": structured for n in numbers}}
    contents = {"tools": tools, "asks": elicitations, "results": results}
    (folder / "offer").write_text(json.dumps(contents), encoding="utf-8")
