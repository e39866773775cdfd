"""Were the calls made that were expected? Pure: aligns expected calls with those that were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mcprun.content import result_text
from mcprun.expectations import ExpectedCall
from mcprun.jsontext import AmbiguousError, loads
from mcprun.matchers import fits
from mcprun.records import Call
from mcprun.show import Show

Found = dict[int, int]
"""The number of an expected call, and the number of the call that fits it."""


def exact(expected: Sequence[ExpectedCall], calls: Sequence[Call], show: Show) -> tuple[Found, str]:
    """These calls and no others, in this order. Give what fits, and a message where that is not all."""
    for number, (wanted, call) in enumerate(zip(expected, calls, strict=False)):
        if why := mismatch(wanted, call, show):
            return {}, f"call {number}: {why}"
    if len(calls) > len(expected):
        return {}, f"call {len(expected)}: expected no more calls, got {show.call(calls[len(expected)])}"
    if len(calls) < len(expected):
        return {}, _missing(len(calls), expected[len(calls)], calls, len(calls), show)
    return {number: number for number in range(len(calls))}, ""


def in_order(expected: Sequence[ExpectedCall], calls: Sequence[Call], show: Show) -> tuple[Found, str]:
    """These calls in this order; others may have come between."""
    found: Found = {}
    at = 0
    for number, wanted in enumerate(expected):
        place = next((n for n in range(at, len(calls)) if not mismatch(wanted, calls[n], show)), None)
        if place is None:
            return {}, _missing(number, wanted, calls, at, show)
        found[number] = place
        at = place + 1
    return found, ""


def any_order(expected: Sequence[ExpectedCall], calls: Sequence[Call], show: Show) -> tuple[Found, str]:
    """These calls in any order, each another one; others may have been made as well."""
    taken: dict[int, int] = {}  # the number of a call, and of the expected one that has it

    def place(number: int, tried: set[int]) -> bool:
        """Find a call for an expected one, moving others on where they have a choice (Kuhn's algorithm)."""
        for at, call in enumerate(calls):
            if at not in tried and not mismatch(expected[number], call, show):
                tried.add(at)
                if at not in taken or place(taken[at], tried):
                    taken[at] = number
                    return True
        return False

    for number, wanted in enumerate(expected):
        if not place(number, set()):
            return {}, _missing(number, wanted, [call for at, call in enumerate(calls) if at not in taken], 0, show)
    return {number: at for at, number in taken.items()}, ""


def mismatch(wanted: ExpectedCall, call: Call, show: Show) -> str:
    """Say how a call differs from the one expected; nothing when it does not."""
    if wanted.tool != call.tool or not fits(wanted.input, call.input, exact=wanted.exact_input):
        exactly = " exactly" if wanted.exact_input else ""
        return f"expected {show.call(wanted)}{exactly}, got {show.call(call)}"
    if wanted.is_error is not None and wanted.is_error is not call.is_error:
        ends = {True: "an error", False: "no error"}
        return f"expected {ends[wanted.is_error]} of {show.call(call)}, got {show.result(call)}"
    if wanted.expects_result and not any(fits(wanted.result, form) for form in _forms(call)):
        why = _ambiguity(result_text(call.content))
        return f"expected {show.value(wanted.result)} as the result of {show.call(call)}, got {show.result(call)}{why}"
    return ""


def _forms(call: Call) -> Iterator[Any]:
    """Give a result in the forms in which it may be expected: structured, as text, and as JSON within the text.

    Many servers wrap a result that is no object as `{"result": …}`, since structured content must be one (MCP,
    "Structured Content"): what is within counts as well.
    """
    if call.structured is not None:
        yield call.structured
        if isinstance(call.structured, dict) and call.structured.keys() == {"result"}:
            yield call.structured["result"]
    text = result_text(call.content)
    yield text
    try:
        yield loads(text)
    except ValueError:
        return


def _ambiguity(text: str) -> str:
    """Say why text that looks like JSON is compared as text; empty if that is not so."""
    try:
        loads(text)
    except AmbiguousError as error:
        return f", which is compared as text: {error}"
    except ValueError:
        pass
    return ""


def _missing(number: int, wanted: ExpectedCall, calls: Sequence[Call], at: int, show: Show) -> str:
    """Say what came in a missing call's place: the same tool called otherwise, the next call, or nothing."""
    left = calls[at:]
    instead = next((call for call in left if call.tool == wanted.tool), left[0] if left else None)
    if instead:
        return f"call {number}: {mismatch(wanted, instead, show) or f'expected one more {show.call(wanted)}'}"
    got = f"no more calls after {show.call(calls[-1])}" if calls else "no calls"
    return f"call {number}: expected {show.call(wanted)}, got {got}"
