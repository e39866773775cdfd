"""The part of the server log that belongs to a failed call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mcprun.report.log_excerpt import LogExcerpt, belonging
from mcprun.report.query_logs import QueryLogs, call_log
from mcprun.runs.transcript import Check, Transcript, Verdict
from tests.support.runs import broken, call, event, transcript
from tests.support.stepped_runs import closed, step

TRACEBACK = """\
ERROR tool {tool} failed
Traceback (most recent call last):
  File "server.py", line 4, in {tool}
    raise ValueError(text)
ValueError: {text}
"""


def tool_call(query: str, begin: int, end: int, offset: int, **more: Any) -> dict[str, Any]:
    """Return the event of a call that began and ended so many milliseconds after the first event."""
    plain = {"call": 0, "tool": query, "is_error": True, "server": 1, "log_offset": offset}
    return event("tool_call", end, query=query, seconds=(end - begin) / 1000, **{**plain, **more})


def red(name: str, text: str) -> Transcript:
    """Return a transcript of a query whose only call returned an error."""
    check = Check(check="tool_errors", passed=False, message=f"call 0: {name}{{}} returned an error: {text!r}")
    return transcript(name, call(name, text, is_error=True), verdict=Verdict.FAILED, checks=[check])


def log_of(one: Transcript, log: str, events: Sequence[dict[str, Any]]) -> LogExcerpt | None:
    logs = QueryLogs()
    for item in events:
        logs.add(item)
    return call_log(one, logs, lambda start, size: log[start : start + size])


def test_a_call_that_ran_alone_has_what_was_written_until_the_next_began() -> None:
    """The text of the next call does not belong to it."""
    first, second = TRACEBACK.format(tool="a", text="one"), TRACEBACK.format(tool="b", text="two")
    events = [tool_call("a", 0, 10, 0), tool_call("b", 20, 30, len(first))]
    assert log_of(red("a", "failed"), first + second, events) == LogExcerpt("ValueError: one", first.rstrip(), "a", 0)
    assert log_of(red("b", "failed"), first + second, events) == LogExcerpt("ValueError: two", second.rstrip(), "b", 0)


def test_of_concurrent_calls_each_has_the_entries_with_its_result() -> None:
    """Two calls of one tool overlap; the message of the exception tells them apart."""
    log = TRACEBACK.format(tool="get", text="no order ORD-1") + TRACEBACK.format(tool="get", text="no order ORD-2")
    events = [tool_call("a", 0, 10, 0, tool="get"), tool_call("b", 1, 11, 0, tool="get")]
    found = log_of(red("b", "Error executing tool get: no order ORD-2"), log, events)
    assert found
    assert (found.exception, found.others, "ORD-1" in found.text) == ("ValueError: no order ORD-2", 0, False)


def test_of_concurrent_calls_each_has_the_entries_with_its_input() -> None:
    """The result of no call is in the log, but an argument is; a short one such as `5` identifies nothing."""
    log = TRACEBACK.format(tool="get", text="ORD-1 > 5") + TRACEBACK.format(tool="get", text="ORD-2 > 5")
    events = [tool_call("a", 0, 10, 0, tool="get"), tool_call("b", 1, 11, 0, tool="get")]
    for name, order in (("a", "ORD-1"), ("b", "ORD-2")):
        failed = call("get", "too much", is_error=True, input={"order": order, "limit": "5", "amount": 9})
        check = Check(check="tool_errors", passed=False, message="call 0: get{} returned an error: 'too much'")
        found = log_of(transcript(name, failed, verdict=Verdict.FAILED, checks=[check]), log, events)
        assert found
        assert (found.exception, found.others) == (f"ValueError: {order} > 5", 0)


def test_entries_that_only_name_the_tool_may_be_of_other_calls() -> None:
    """Two calls of one tool overlap: what its entries say of a call is uncertain, and other tools' are left out."""
    own = TRACEBACK.format(tool="get", text="first") + TRACEBACK.format(tool="get", text="second").rstrip()
    log = TRACEBACK.format(tool="put", text="other") + own
    events = [tool_call("a", 0, 10, 0, tool="get"), tool_call("b", 1, 11, 0, tool="get")]
    check = Check(check="tool_errors", passed=False, message="call 0: get{} returned an error: 'no'")
    one = transcript("a", call("get", "no", is_error=True), verdict=Verdict.FAILED, checks=[check])
    found = log_of(one, log, events)
    assert found
    assert (found.text, found.others) == (own, 1)


def test_tracebacks_that_follow_each_other_are_told_apart() -> None:
    """A server may print nothing else, or a line before; chained ones belong together."""
    plain = 'Traceback (most recent call last):\n  File "s.py", line 4, in get\nLimit: {} > 5'
    log = "\n".join(plain.format(order) for order in ("ORD-1", "ORD-2", "ORD-3"))
    assert belonging(log, ["ORD-1"]) == plain.format("ORD-1")
    assert belonging(log, ["ORD-2"]) == plain.format("ORD-2")
    assert belonging(f"INFO get\n{log}", ["INFO"]) == f"INFO get\n{plain.format('ORD-1')}"
    again = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    chained = f"ERROR get\n{plain.format('ORD-1')}{again}{plain.format('ORD-9')}"
    assert belonging(f"{chained}\n{log}", ["ORD-9"]) == chained


def test_what_can_not_be_told_apart_says_how_many_calls_ran() -> None:
    """Neither the tool nor the result is in the log, so that it may be of either call."""
    events = [tool_call("a", 0, 10, 0), tool_call("b", 1, 11, 0)]
    found = log_of(red("a", "failed"), "something happened\n", events)
    assert found
    assert (found.text, found.others) == ("something happened", 1)


@pytest.mark.parametrize(
    "one",
    [
        transcript(
            "a",
            call("a", "expected error", is_error=True),
            verdict=Verdict.FAILED,
            checks=[Check(check="text.contains", passed=False, message="expected text with 'x', got 'y'")],
        ),
        transcript("a", call("a", "expected error", is_error=True)),
    ],
)
def test_an_expectation_that_failed_has_no_log(one: Transcript) -> None:
    """A call that was expected to fail does not make the query red, and its traceback explains nothing."""
    log = TRACEBACK.format(tool="a", text="expected error")
    assert log_of(one, log, [tool_call("a", 0, 10, 0)]) is None


def test_an_error_has_the_log_of_its_last_failed_call() -> None:
    """Calls of earlier attempts do not count."""
    log = "first\nsecond\n"
    events = [tool_call("a", 0, 10, 0), tool_call("a", 20, 30, len("first\n"), attempt=2)]
    found = log_of(broken("a", "server_died", "gone"), log, events)
    assert found
    assert found.text == "second"
    later = [*events, event("model_call", 40, query="a", attempt=3)]
    assert log_of(broken("a", "api_error", "refused"), log, later) is None


def test_a_record_of_rich_is_an_entry_although_it_is_indented() -> None:
    """Its lines are wrapped, and count as one text."""
    log = "[11/30/26 13:51:47] INFO     Tool 'a' failed: no   server.py:453\n" + " " * 29 + "order 7\n"
    log += " " * 20 + "INFO     Tool 'a' failed: no   server.py:453\n" + " " * 29 + "order 8 found"
    assert belonging(log, ["order 8 found"]).split()[0] == "INFO"
    assert belonging(log, ["absent"], ["order 7"]).startswith("[11/30/26")
    assert belonging(log, ["absent"]) == ""


def step_event(query: str, phase: str, end: int, offset: int, **more: Any) -> dict[str, Any]:
    """Return the event of a failed step that took 10 ms."""
    plain = {"phase": phase, "step": 0, "tool": phase, "is_error": True, "server": 1, "log_offset": offset}
    return event("step", end, query=query, seconds=0.01, **{**plain, **more})


def test_a_step_before_the_conversation_that_failed_has_its_log() -> None:
    """That of the cleanup after it, which only warns, is not the cause."""
    first, second = TRACEBACK.format(tool="create", text="one"), TRACEBACK.format(tool="delete", text="two")
    events = [step_event("q", "before", 10, 0), step_event("q", "cleanup", 30, len(first))]
    one = broken("q", "setup", "create failed", steps=[step("before", "create", "failed", is_error=True)])
    assert log_of(one, first + second, events) == LogExcerpt("ValueError: one", first.rstrip(), "before")


def test_a_check_of_a_step_that_failed_has_its_log() -> None:
    """A check of calls has none: no call failed."""
    first, second = TRACEBACK.format(tool="get", text="one"), TRACEBACK.format(tool="list", text="two")
    events = [
        step_event("close", "after", 10, 0, id="state"),
        step_event("close", "after", 30, len(first), step=1),
    ]

    def log(check: str) -> LogExcerpt | None:
        unmet = [Check(check=check, passed=False, message="expected something else")]
        return log_of(closed(verdict=Verdict.FAILED, checks=unmet), first + second, events)

    assert log("after.state") == LogExcerpt("ValueError: one", first.rstrip(), "after")
    assert log("after[1]") == LogExcerpt("ValueError: two", second.rstrip(), "after")
    assert log("calls") is None


def test_of_concurrent_steps_each_has_the_entries_with_its_result() -> None:
    """Queries run concurrently, and so do their steps."""
    log = TRACEBACK.format(tool="create", text="no project PRJ-1") + TRACEBACK.format(
        tool="create", text="no project PRJ-2"
    )
    events = [step_event("a", "before", 10, 0), step_event("b", "before", 11, 0)]
    made = step("before", "create", "Error executing tool create: no project PRJ-2", is_error=True)
    found = log_of(broken("b", "setup", "create failed", steps=[made]), log, events)
    assert found
    assert (found.exception, found.others, "PRJ-1" in found.text) == ("ValueError: no project PRJ-2", 0, False)
