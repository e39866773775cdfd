"""Two runs of a shop between which one field changed everywhere, and a few other things in single queries.

Ten queries track orders, in 59 calls of `get_order`, and in HEAD each order is `in_transit` rather than `shipped`. Three
queries no longer pass, because `price` was renamed; one has another total; one result is 40 lines long.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.support.cli import write_jsonl
from tests.support.transcripts import call, transcript

TRACKED = 10
CALLS = 59


def changed_orders() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the transcripts of BASE and HEAD."""
    base = [_tracking(number) for number in range(TRACKED)]
    base += [
        _asking(name, f"What does a {name} cost?", call("price", "0.5", 0.5 + at, item=name))
        for at, name in enumerate(("apple", "pear", "plum"))
    ]
    total = structured_call("total", {"sum": 12.5, "shipping": 2.5}, items={"milk": 1})
    base += [_asking("basket", "What do two apples and a milk cost?", total)]
    text = "\n".join(f"Paragraph {number} of the terms of delivery." for number in range(40))
    base += [_asking("terms", "Read me the terms of delivery.", call("terms", text, language="en"))]
    base += [_asking(f"same-{number}", "Is the shop open?", call("hours", "9 to 5")) for number in range(5)]
    base += [_asking("gone", "Is there a sale?", call("sales", "no"))]
    head = copy.deepcopy(base[:-1])
    for one in head[:TRACKED]:
        for order in one["calls"]:
            order |= structured_call("get_order", order["structured"] | {"state": "in_transit"}, **order["input"])
    for one in head[TRACKED : TRACKED + 3]:
        one["verdict"] = "failed"
        one["calls"][0] |= call("price", "Unknown tool: price", is_error=True, **one["calls"][0]["input"])
        one["checks"] = [{"check": "tool_errors", "passed": False, "message": "call 0 returned an error"}]
    head[TRACKED + 3]["calls"] = [structured_call("total", {"sum": 10.0, "shipping": 0.0}, items={"milk": 1})]
    terms = head[TRACKED + 4]["calls"][0]["content"][0]
    terms["text"] = terms["text"].replace("Paragraph 20 of the terms", "Paragraph 20 of the new terms")
    head += [_asking("new", "Which stores are there?", call("stores", "none", is_error=True)) | {"verdict": "failed"}]
    return base, head


def write_changed_orders(folder: Path) -> tuple[Path, Path]:
    """Write both sides to `folder` as files of transcripts, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    base, head = (
        write_jsonl(folder / name, *side)
        for name, side in zip(("base.jsonl", "head.jsonl"), changed_orders(), strict=True)
    )
    return base, head


def structured_call(tool: str, value: dict[str, Any], **input: Any) -> dict[str, Any]:
    """Return a call whose result is structured content, and the same as text."""
    return call(tool, json.dumps(value), value, **input)


def _tracking(number: int) -> dict[str, Any]:
    """Return a query that calls `get_order` six times, the last one five times."""
    count = 6 if number < TRACKED - 1 else 5
    orders = [
        structured_call("get_order", {"id": 100 * number + at, "state": "shipped", "lines": at}, id=100 * number + at)
        for at in range(count)
    ]
    return _asking(f"track-{number}", f"Where are the orders of customer {number}?", *orders)


def _asking(name: str, prompt: str, *calls: dict[str, Any]) -> dict[str, Any]:
    return {"schema": 1} | transcript(id=name, calls=list(calls)) | {"prompt": prompt, "messages": [], "checks": []}
