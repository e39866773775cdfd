"""Match expected calls with the calls that were made. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from mcprun._util.code_points import reveal
from mcprun._util.json_value import key_of
from mcprun.checks.assignment import assign
from mcprun.checks.call_index import CallIndex
from mcprun.checks.expect import ExpectedCall
from mcprun.checks.one_call import closest, mismatch, result_forms, suits
from mcprun.evaluation.evaluator import checkpoint
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter

_MAX_BRIEF = 10_000
"""Comparisons of an expected call with a call that may block the event loop: about 0.1 s."""

Matches = dict[int, int]
"""Maps the number of an expected call to the number of the call that matches it."""


def exact(expected: Sequence[ExpectedCall], calls: Sequence[Call], formatter: ValueFormatter) -> tuple[Matches, str]:
    """Match exactly these calls in this order. Return the matches and an empty message, or none and the problem."""
    for number, (wanted, call) in enumerate(zip(expected, calls, strict=False)):
        if not suits(wanted, call):
            return {}, _unmet(number, wanted, number, call, formatter)
    if len(calls) > len(expected):
        more = f"call {len(expected)}, {formatter.call(calls[len(expected)])}"
        return {}, f"expected {f'only {len(expected):,}' if expected else 'no'} calls, got {more}"
    if len(calls) < len(expected):
        return {}, _missing(len(calls), expected[len(calls)], calls, range(len(calls), len(calls)), formatter)
    return {number: number for number in range(len(calls))}, ""


def in_order(expected: Sequence[ExpectedCall], calls: Sequence[Call], formatter: ValueFormatter) -> tuple[Matches, str]:
    """Match these calls in this order, with others allowed in between. Returns like `exact`."""
    matches: Matches = {}
    at = 0
    for number, wanted in enumerate(expected):
        place = next((n for n in range(at, len(calls)) if suits(wanted, calls[n])), None)
        if place is None:
            return {}, _missing(number, wanted, calls, range(at, len(calls)), formatter)
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
    left = [at for at in range(len(calls)) if at not in used]
    if calls and not left:
        return {}, f"{_absent(missing, expected[missing], formatter)}; got no other calls"
    return {}, _missing(missing, expected[missing], calls, left, formatter)


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


def _missing(
    number: int, wanted: ExpectedCall, calls: Sequence[Call], among: Sequence[int], formatter: ValueFormatter
) -> str:
    """Describe an expected call that no call matches, with the closest of the calls `among` which it may be."""
    at = closest(wanted, calls, among)
    if at is not None:
        return _unmet(number, wanted, at, calls[at], formatter)
    if among:
        return _unmet(number, wanted, among[0], calls[among[0]], formatter)
    if calls:
        last = len(calls) - 1
        return (
            f"{_absent(number, wanted, formatter)}; got no more calls after call {last}, {formatter.call(calls[last])}"
        )
    return f"{_absent(number, wanted, formatter)}; got no calls"


def _unmet(number: int, wanted: ExpectedCall, at: int, call: Call, formatter: ValueFormatter) -> str:
    """Describe how the call with the number `at` differs from the expected one."""
    if wanted.tool != call.tool:
        expected, got = reveal(formatter.call(wanted), formatter.call(call))
        return f"expected call {number} is missing: {expected}; got call {at}, {got}"
    differing = mismatch(wanted, call, formatter)
    return f"expected call {number} differs from call {at}, {formatter.short_call(call)}: {differing}"


def _absent(number: int, wanted: ExpectedCall, formatter: ValueFormatter) -> str:
    return f"expected call {number} is missing: {formatter.call(wanted)}"
