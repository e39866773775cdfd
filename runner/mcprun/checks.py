"""Did a query do what was expected? Each check is a small pure function from a conversation to a `Check`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mcprun.content import result_text
from mcprun.queries import Expect, ExpectedCall
from mcprun.records import Call, Check, JsonObject

ENDED = frozenset({"end_turn", "stop_sequence"})
"""Stop reasons with which a model has ended its turn by itself."""

_SHOWN = 200
"""Characters of a value that a message shows."""


@dataclass(frozen=True, slots=True)
class Show:
    """How messages tell values: on one line, and cut short where they are long, but `clean`ed of secrets before."""

    clean: Callable[[str], str] = str

    def text(self, text: str) -> str:
        """Show text in quotes."""
        return repr(self._cut(" ".join(text.split())))

    def call(self, call: Call | ExpectedCall) -> str:
        """Show a call as people write it: `add{a: 2, b: 3}`."""
        return f"{self.clean(call.tool)}{self.input(call.input)}"

    def input(self, value: JsonObject) -> str:
        """Show a call's input."""
        return "{" + self._cut(", ".join(f"{key}: {_json(item)}" for key, item in value.items())) + "}"

    def result(self, call: Call) -> str:
        """Show what came back."""
        return self.text(result_text(call.content) or _json(call.structured))

    def _cut(self, text: str) -> str:
        text = self.clean(text)
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def check_all(
    expect: Expect, *, stop: str, calls: Sequence[Call], text: str, allow_tool_errors: bool, show: Show
) -> list[Check]:
    """Check a conversation. The first two checks hold for every query, expectations or not.

    `stop` is how it ended, `calls` what was called, `text` the model's last words.
    """
    checks = [check_ended(stop)]
    if not (allow_tool_errors or expect.tool_errors == "allow"):
        checks.append(check_tool_errors(calls, show))
    if expect.calls is not None:
        checks.append(check_calls_in_order(expect.calls, calls, show))
    if expect.text is not None:
        checks += [check_contains(part, text, show) for part in expect.text.contains]
    return checks


def check_ended(stop: str) -> Check:
    """The model ended its turn, and was not cut short."""
    return _check("ended", stop in ENDED, f"expected the model to end its turn, got {stop}")


def check_tool_errors(calls: Sequence[Call], show: Show) -> Check:
    """No call came back as an error."""
    wrong = [(number, call) for number, call in enumerate(calls) if call.is_error]
    told = "; ".join(
        f"call {number}: {show.call(call)} came back as an error: {show.result(call)}" for number, call in wrong
    )
    return _check("tool_errors", not wrong, told)


def check_calls_in_order(expected: Sequence[ExpectedCall], calls: Sequence[Call], show: Show) -> Check:
    """The expected calls were made in this order; others may have come between. Inputs match as a subset."""
    at = 0
    for number, wanted in enumerate(expected):
        found = next((n for n in range(at, len(calls)) if _fits(wanted, calls[n])), None)
        if found is None:
            return _check("calls", False, _missing(number, wanted, calls, at, show))
        at = found + 1
    return _check("calls", True)


def check_contains(part: str, text: str, show: Show) -> Check:
    """The final text holds a string."""
    return _check("text.contains", part in text, f"expected text with {show.text(part)}, got {show.text(text)}")


def is_subset(expected: Any, got: Any) -> bool:
    """Tell whether all that is expected is there: objects may hold more keys, everything else is equal as JSON."""
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(key in got and is_subset(expected[key], got[key]) for key in expected)
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(is_subset(one, other) for one, other in zip(expected, got, strict=True))
        )
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got  # in JSON, 1 is not true
    return bool(expected == got)


def _fits(wanted: ExpectedCall, call: Call) -> bool:
    return wanted.tool == call.tool and is_subset(wanted.input, call.input)


def _missing(number: int, wanted: ExpectedCall, calls: Sequence[Call], at: int, show: Show) -> str:
    """Say what came in the missing call's place: the same tool called otherwise, the next call, or nothing."""
    left = calls[at:]
    instead = next((call for call in left if call.tool == wanted.tool), left[0] if left else None)
    if instead:
        got = show.call(instead)
    elif calls:
        got = f"no more calls after {show.call(calls[-1])}"
    else:
        got = "no calls"
    return f"call {number}: expected {show.call(wanted)}, got {got}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _check(name: str, passed: bool, message: str = "") -> Check:
    return Check(check=name, passed=passed, message=None if passed else message)
