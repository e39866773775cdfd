"""Which part of the server log belongs to which query."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcprun.report.log_excerpt import exception_line, shortened
from mcprun.report.query_logs import QueryLogs, call_log
from mcprun.runs.run import Run
from mcprun.runs.transcript import Check, Transcript, Verdict
from tests.support.runs import JsonObject, broken, call, event, failed, transcript, write_run

TRACE = "Traceback (most recent call last):\n  File \"shop.py\", line 3, in {}\nKeyError: '{}'\n"


def tool_call(query: str, end: int, offset: int, *, seconds: float = 0.05, is_error: bool = True) -> JsonObject:
    """Return the event of a call that ended after `end` milliseconds."""
    return event("tool_call", end, query=query, seconds=seconds, call=0, tool="t", is_error=is_error, log_offset=offset)


Found = tuple[str, str] | None
"""The text and the exception of an excerpt."""


def excerpts(path: Path, log: str, events: list[JsonObject], *transcripts: Transcript) -> dict[str, Found]:
    """Return the excerpt of each query."""
    run = Run.read(str(write_run(path / "run", transcripts, events, log=log)))
    logs = QueryLogs()
    for one in run.events():
        logs.add(one)
    found = {one.id: call_log(one, logs, run.log) for one in transcripts}
    return {name: (excerpt.text, excerpt.exception) if excerpt else None for name, excerpt in found.items()}


def test_a_query_has_the_text_of_its_own_failed_call(tmp_path: Path) -> None:
    """The text of a call ends where the next call begins, whichever query makes it."""
    first, second = TRACE.format("price", "apple"), TRACE.format("total", "pear")
    events = [
        tool_call("a", 50, 0),
        tool_call("b", 100, len(first), is_error=False),
        tool_call("c", 150, len(first)),
        tool_call("d", 200, len(first + second), is_error=False),
    ]
    why = "call 0: t returned an error"
    ones = [failed(name, why, call("t", is_error=name in "ac")) for name in "abcd"]
    found = excerpts(tmp_path, f"{first}{second}later\n", events, *ones)
    assert found == {
        "a": (first.rstrip(), "KeyError: 'apple'"), "b": None,
        "c": (second.rstrip(), "KeyError: 'pear'"), "d": None,
    }  # fmt: skip


def test_a_call_at_the_same_time_does_not_end_the_text(tmp_path: Path) -> None:
    """A call that began before the failed one ended may have been logged in between, and is no end."""
    log = "begins\n" + TRACE.format("price", "apple")
    events = [tool_call("a", 100, 0, seconds=0.1), tool_call("b", 120, 7, seconds=0.08, is_error=False)]
    found = excerpts(tmp_path, log, events, broken("a", "server_died", "gone"), transcript("b"))
    assert found["a"] == (log.rstrip(), "KeyError: 'apple'")


@pytest.mark.parametrize(("check", "is_shown"), [("text.contains", False), ("max_turns", False), ("calls", True)])
def test_a_failed_expectation_of_something_else_has_no_log(tmp_path: Path, check: str, is_shown: bool) -> None:
    """The traceback of a call that may fail is not shown as the reason why a text was expected."""
    checks = [Check(check=check, passed=False, message="call 0 is named, too")]
    one = transcript("a", call("t", is_error=True), verdict=Verdict.FAILED, checks=checks)
    found = excerpts(tmp_path, TRACE.format("price", "apple"), [tool_call("a", 50, 0)], one)
    assert (found["a"] is not None) is is_shown


def test_a_resumed_run_forgets_earlier_calls(tmp_path: Path) -> None:
    """A query that is run again has the text of its new calls only."""
    old, new = TRACE.format("price", "old"), TRACE.format("price", "new")
    start = event("run_start", 60, queries=2, done=0, model="script", chosen="a test")
    again = [tool_call("a", 100, len(old), is_error=False), tool_call("b", 200, len(old))]
    events = [tool_call("a", 50, 0), tool_call("b", 50, 0), start, *again]
    found = excerpts(tmp_path, old + new, events, *(failed(name, "why", call("t")) for name in "ab"))
    assert found == {"a": None, "b": (new.rstrip(), "KeyError: 'new'")}


def test_a_long_text_is_cut_to_the_lines_before_its_exception() -> None:
    """Of a long text, the part that ends with the exception is shown, from a whole line on."""
    text = "a line\n" * 1000 + TRACE.format("price", "apple") + "more\n" * 2000
    excerpt = shortened(text)
    assert (excerpt.startswith("a line\n"), excerpt.endswith("KeyError: 'apple'")) == (True, True)
    assert exception_line(excerpt) == "KeyError: 'apple'"
    assert 3_900 < len(excerpt) <= 4_000
    assert shortened("no exception\n") == "no exception"
