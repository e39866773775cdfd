"""The first turn of a routed query as text: what was expected, what the model asked for, and why it is not graded."""

from __future__ import annotations

from collections.abc import Iterable

from mcprun.analysis.routing.measure import expected_calls
from mcprun.checks.route import as_call
from mcprun.report.text import one_line
from mcprun.runs.transcript import RoutedCall, Transcript
from mcprun.tools.format import ValueFormatter

ROUTE = "route"
"""The name of the check of a first turn."""

_NAMES, _NAME = 3, 60
"""Maximum number of tools that a confusion lists, and of characters of each."""

_REASON = 300
"""Maximum number of characters of a reason."""


def confusion(transcript: Transcript) -> str:
    """Return which tools were expected and which were called: `expected get_issue, got close_issue`.

    Empty if the route check did not fail, or if an expected tool was called, with another input.
    """
    if transcript.routed is None or not any(check.check == ROUTE and not check.passed for check in transcript.checks):
        return ""
    calls = expected_calls(transcript)
    if calls is None:
        return ""
    expected, called = {call.tool for call in calls}, routed_tools(transcript)
    if expected & {*called}:
        return ""
    return f"expected {_joined(sorted(expected), 'or')}, got {_joined(called, 'and')}"


def routed_tools(transcript: Transcript) -> list[str]:
    """Return the tools that the model asked for in its first turn, each once."""
    return list(dict.fromkeys(call.tool for call in transcript.routed or ()))


def expected_text(transcript: Transcript) -> str:
    """Return the calls that a first turn may make: `close_issue{id: 1}`, `no call`; empty if they can't be read."""
    calls = expected_calls(transcript)
    if calls is None:
        return ""
    formatter = ValueFormatter()
    # An input that is not stated may be any, so that no braces are shown for it.
    texts = (formatter.short_call(one) if one.input or one.exact_input else formatter.name(one.tool) for one in calls)
    return " or ".join(dict.fromkeys(texts)) or "no call"


def call_title(call: RoutedCall) -> str:
    """Return a requested call with its input: `close_issue{id: 1}`."""
    return f"{call.tool}{ValueFormatter().input(call.input)}{' (a decoy)' if call.decoy else ''}"


def ungraded_text(transcript: Transcript) -> str:
    """Return why a routed run did not grade a query: `not graded: the query has no expect.calls`."""
    found = (check.message for check in transcript.checks if check.check == ROUTE and check.message)
    return one_line(next(found, "not graded"), _REASON)


def without_calls(transcript: Transcript, message: str) -> str:
    """Return the message of a check without the call at its end, whose input differs between queries."""
    for call in transcript.routed or ():
        message = message.removesuffix(f" ({ValueFormatter().call(as_call(call))})")
    return message


def _joined(names: Iterable[str], word: str) -> str:
    """Return names in a list, the first of many; `no call` if there are none."""
    listed = [one_line(name, _NAME) or repr(name) for name in names]
    shown = f" {word} ".join(listed[:_NAMES])
    return f"{shown} {word} {len(listed) - _NAMES:,} more" if len(listed) > _NAMES else shown or "no call"
