"""Messages of queries that reached a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.cli import run_mcprun, script, write_jsonl
from tests.support.red_runs import ORDERS

WAITING = ("report", {"month": 13})


def looking(times: int) -> list[dict[str, Any]]:
    """Return turns that make one call each, and a last one."""
    calls = [{"calls": [{"tool": "stock", "input": {"item": f"lamp {at}"}}]} for at in range(times)]
    return [*calls, {"text": "Done."}]


def test_a_query_names_the_limit_that_it_reached(tmp_path: Path) -> None:
    """The message has the limit, its option, and the call that was waited for. Tool results keep their recorded words."""
    three = {"calls": [{"tool": "stock", "input": {"item": item}} for item in "abc"]}
    prompts = write_jsonl(
        tmp_path / "p.jsonl",
        {"id": "turns", "prompt": "Go.", "script": looking(3)},
        {"id": "own turns", "prompt": "Go.", "script": looking(3), "max_turns": 1},
        {"id": "calls", "prompt": "Go.", "script": [three, {"text": "Done."}]},
        script(WAITING, id="call"),
        script(WAITING, id="query", timeout=0.3),
    )
    limits = ("--max-turns", "2", "--max-calls", "2", "--call-timeout", "1", "--no-retry")
    done = run_mcprun("batch", prompts, ORDERS, *limits, cwd=tmp_path)
    by_id = {one["id"]: one for one in done.transcripts}
    messages = {
        name: [check["message"] for check in one["checks"] if not check["passed"]] for name, one in by_id.items()
    }
    assert messages == {
        "turns": ["stopped at the limit of 2 turns (`--max-turns`)"],
        "own turns": ["stopped at the limit of 1 turn (the query's `max_turns`)"],
        "calls": ["stopped at the limit of 2 calls (`--max-calls`)"],
        "call": ["timed out after 1 s in call 0, `report`"],
        "query": [],
    }
    assert by_id["call"]["calls"][0]["content"] == [{"type": "text", "text": "No answer from report within 1 s."}]
    assert by_id["query"]["error"] == {
        "kind": "query_timeout",
        "message": "timed out after 0.3 s in call 0, `report` (the query's `timeout`)",
    }
