"""Match expected calls with the calls that were made. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mcprun._util.code_points import reveal
from mcprun._util.json_text import AmbiguousError, loads
from mcprun._util.json_value import key_of
from mcprun.checks.assignment import assign
from mcprun.checks.call_index import CallIndex
from mcprun.checks.expect import ExpectedCall
from mcprun.checks.matchers import fits
from mcprun.evaluation.evaluator import checkpoint
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from mcprun.tools.results import result_text

_MAX_BRIEF = 10_000
"""Comparisons of an expected call with a call that may block the event loop: about 0.1 s."""

Matches = dict[int, int]
"""Maps the number of an expected call to the number of the call that matches it."""


def exact(expected: Sequence[ExpectedCall], calls: Sequence[Call], formatter: ValueFormatter) -> tuple[Matches, str]:
    """Match exactly these calls in this order. Return the matches and an empty message, or none and the problem."""
    for number, (wanted, call) in enumerate(zip(expected, calls, strict=False)):
        if why := mismatch(wanted, call, formatter):
            return {}, f"call {number}: {why}"
    if len(calls) > len(expected):
        return {}, f"call {len(expected)}: expected no more calls, got {formatter.call(calls[len(expected)])}"
    if len(calls) < len(expected):
        return {}, _missing(len(calls), expected[len(calls)], calls, len(calls), formatter)
    return {number: number for number in range(len(calls))}, ""


def in_order(expected: Sequence[ExpectedCall], calls: Sequence[Call], formatter: ValueFormatter) -> tuple[Matches, str]:
    """Match these calls in this order, with others allowed in between. Returns like `exact`."""
    matches: Matches = {}
    at = 0
    for number, wanted in enumerate(expected):
        place = next((n for n in range(at, len(calls)) if suits(wanted, calls[n])), None)
        if place is None:
            return {}, _missing(number, wanted, calls, at, formatter)
        matches[number] = place
        at = place + 1
    return matches, ""


def any_order(
    expected: Sequence[ExpectedCall], calls: Sequence[Call], formatter: ValueFormatter
) -> tuple[Matches, str]:
    """Match each expected call with a different call, in any order; other calls are allowed. Returns like `exact`.

    For speed, equal expected calls are grouped, and so are calls that match the same of these groups.
    """
    alike: dict[str, list[int]] = {}
    for number, wanted in enumerate(expected):
        alike.setdefault(key_of(wanted.model_dump(exclude_defaults=True)), []).append(number)
    kinds = list(alike.values())
    groups: dict[tuple[int, ...], list[int]] = {}
    for at, fits_kinds in enumerate(_fitting([expected[numbers[0]] for numbers in kinds], calls)):
        if fits_kinds:
            groups.setdefault(tuple(fits_kinds), []).append(at)
    matching = _Matching(kinds, groups)
    matches = matching.of_first(len(expected))
    if len(matches) == len(expected):
        return matches, ""
    missing = bisect_left(range(len(expected)), True, key=lambda at: len(matching.of_first(at + 1)) <= at)
    used = set(matching.of_first(missing).values())
    left = [call for at, call in enumerate(calls) if at not in used]
    return {}, _missing(missing, expected[missing], left, 0, formatter)


class _Matching:
    """Matches kinds of expected calls with groups of calls.

    A kind holds the numbers of equal expected calls. `groups` maps the kinds that calls match to the calls' numbers.
    """

    def __init__(self, kinds: Sequence[Sequence[int]], groups: Mapping[tuple[int, ...], Sequence[int]]) -> None:
        self._kinds = kinds
        self._groups = list(groups.values())
        self._edges: list[list[int]] = [[] for _ in kinds]
        for group, fits_kinds in enumerate(groups):
            for kind in fits_kinds:
                self._edges[kind].append(group)

    def of_first(self, count: int) -> Matches:
        """Match as many of the first `count` expected calls as possible."""
        demands = [bisect_left(numbers, count) for numbers in self._kinds]
        flow = assign(demands, [*map(len, self._groups)], self._edges)
        left = [*map(iter, self._groups)]
        matches: Matches = {}
        for numbers, taken in zip(self._kinds, flow, strict=True):
            places = (next(left[group]) for group, units in sorted(taken.items()) for _ in range(units))
            matches |= zip(numbers, places, strict=False)
        return matches


def _fitting(expected: Sequence[ExpectedCall], calls: Sequence[Call]) -> list[list[int]]:
    """Return, for each call, the numbers of the expected calls that it matches, in order."""
    need_results = any(wanted.expects_result for wanted in expected)
    results = [tuple(result_forms(call)) if need_results else () for call in calls]
    parts = [(call.tool, call.input, result) for call, result in zip(calls, results, strict=True)]
    index = CallIndex(expected, parts)
    fitting: list[list[int]] = [[] for _ in calls]
    compared = 0
    for number, wanted in enumerate(expected):
        candidates = index.candidates(wanted)
        compared += len(candidates)
        if compared > _MAX_BRIEF:
            checkpoint()
        for at in candidates:
            if suits(wanted, calls[at], results[at]):
                fitting[at].append(number)
    return fitting


def suits(expected: ExpectedCall, call: Call, results: Sequence[Any] | None = None) -> bool:
    """Return whether a call matches an expected one. `results` are the forms of its result, None if not yet known."""
    return (
        _call_matches(expected, call)
        and (expected.is_error is None or expected.is_error is call.is_error)
        and (not expected.expects_result or _result_matches(expected, call, results))
    )


def mismatch(wanted: ExpectedCall, call: Call, formatter: ValueFormatter) -> str:
    """Return how a call differs from the expected one; empty if it matches."""
    if not _call_matches(wanted, call):
        exactly = " exactly" if wanted.exact_input else ""
        expected, got = reveal(formatter.call(wanted), formatter.call(call))
        return f"expected {expected}{exactly}, got {got}"
    if wanted.is_error is not None and wanted.is_error is not call.is_error:
        ends = {True: "an error", False: "no error"}
        return f"expected {ends[wanted.is_error]} from {formatter.call(call)}, got {formatter.result(call)}"
    if wanted.expects_result and not _result_matches(wanted, call):
        why = _ambiguity(result_text(call.content))
        expected, got = formatter.expected_result(wanted.result, call)
        return f"expected {expected} as the result of {formatter.call(call)}, got {got}{why}"
    return ""


def _call_matches(expected: ExpectedCall, call: Call) -> bool:
    return expected.tool == call.tool and fits(expected.input, call.input, exact=expected.exact_input)


def _result_matches(expected: ExpectedCall, call: Call, results: Sequence[Any] | None = None) -> bool:
    return any(fits(expected.result, form) for form in (result_forms(call) if results is None else results))


def result_forms(call: Call) -> Iterator[Any]:
    """Yield the forms in which a result may be expected: structured, as text, and as the JSON in the text.

    Structured content must be an object (MCP, "Structured Content"), so many servers wrap other results as
    `{"result": …}`. The wrapped value is another form.
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
    """Return why text that looks like JSON is compared as text; empty if it is compared as JSON."""
    try:
        loads(text)
    except AmbiguousError as error:
        return f", which is compared as text: {error}"
    except ValueError:
        pass
    return ""


def _missing(number: int, expected: ExpectedCall, calls: Sequence[Call], at: int, formatter: ValueFormatter) -> str:
    """Describe a missing call and the call in its place: the same tool with other input, the next call, or none."""
    left = calls[at:]
    instead = next((call for call in left if call.tool == expected.tool), left[0] if left else None)
    if instead:
        problem = mismatch(expected, instead, formatter) or f"expected one more {formatter.call(expected)}"
        return f"call {number}: {problem}"
    got = f"no more calls after {formatter.call(calls[-1])}" if calls else "no calls"
    return f"call {number}: expected {formatter.call(expected)}, got {got}"
