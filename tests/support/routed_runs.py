"""Build transcripts of routed runs, for tests of reports."""

from __future__ import annotations

from typing import Any

from mcprun.runs.run_record import RouteRecord
from mcprun.runs.transcript import UNGRADED, Check, RoutedCall, Transcript, Turn, Verdict
from tests.support.facts import facts as facts_of
from tests.support.runs import transcript

ROUTE = RouteRecord()
"""The record of a routed run without decoys."""


def routed(name: str, expected: str, called: str, message: str = "", **more: Any) -> Transcript:
    """Return a routed query. Each word of `expected` and `called` is a tool; a `message` is that of the failed check."""
    tools, calls = expected.split(), [RoutedCall(tool=tool, input={"id": 1}) for tool in called.split()]
    uses = [{"type": "tool_use", "id": str(n), "name": one.tool, "input": one.input} for n, one in enumerate(calls)]
    content = uses or [{"type": "text", "text": "Hello."}]
    is_right = not message and (bool(set(tools) & {one.tool for one in calls}) if tools else not calls)
    text = message or f"expected {expected or 'no call'}, got {called or 'no call'}"
    check = Check(check="route", passed=is_right, message=None if is_right else text)
    match = {"match": "any_order"} if len(tools) > 1 else {}
    values = {
        "verdict": Verdict.PASSED if is_right else Verdict.FAILED, "stop": "tool_use" if calls else "end_turn",
        "expect": {"calls": [{"tool": tool} for tool in tools], **match}, "routed": calls, "checks": [check],
        "messages": [{"role": "user", "content": "Do it."}, {"role": "assistant", "content": content}],
        "turns": [Turn(stop_reason="tool_use" if calls else "end_turn")], "text": "" if calls else "Hello.",
    }  # fmt: skip
    return transcript(name, **values | more)


def ungraded(name: str) -> Transcript:
    """Return a query that a routed run does not grade."""
    check = Check(check="route", passed=True, message="not graded: the query has no expect.calls")
    return transcript(
        name, verdict=Verdict.SKIPPED, stop=UNGRADED, checks=[check], messages=[], turns=[], text="", attempts=0
    )


PLANTED = [
    *[routed(f"get-{n}", "get_issue", "get_issue") for n in range(3)],
    *[routed(f"taken-{n}", "get_issue", "close_issue") for n in range(2)],
    routed("input", "get_issue", "get_issue", "input.id: expected 5, got 1 (get_issue{id: 1})"),
    routed("several", "close_issue", "get_issue delete_issue"),
    routed("nothing", "close_issue", ""),
    routed("quiet", "", ""),
    routed("chatty", "", "close_issue"),
    ungraded("ungraded"),
]
"""A planted run: its matrix is in the tests of each report."""


def planted_facts(**more: Any) -> Any:
    """Return the data of the planted run."""
    return facts_of(*PLANTED, route=ROUTE, **more)
