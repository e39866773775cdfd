"""Compare a call with an expected one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mcprun._util.json_text import AmbiguousError, loads
from mcprun._util.json_value import json_type
from mcprun.checks.difference_text import describe
from mcprun.checks.differences import Difference, differences, score
from mcprun.checks.expect import ExpectedCall
from mcprun.checks.matchers import fits, is_matcher
from mcprun.evaluation.evaluator import checkpoint
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from mcprun.tools.results import result_text

_MAX_CLOSE, _MAX_CLOSE_RESULTS = 1_000, 10
"""Maximum number of calls that are compared by their inputs, and by their results, to find the closest one."""

_TYPES = {"string": "text", "integer": "a number", "number": "a number", "array": "a list", "object": "an object"}


def suits(expected: ExpectedCall, call: Call, results: Sequence[Any] | None = None) -> bool:
    """Return whether a call matches an expected one. `results` are the forms of its result, None if not yet known."""
    return (
        _call_matches(expected, call)
        and (expected.is_error is None or expected.is_error is call.is_error)
        and (not expected.expects_result or _result_matches(expected, call, results))
    )


def mismatch(wanted: ExpectedCall, call: Call, formatter: ValueFormatter) -> str:
    """Return how a call of the expected tool differs from the expected one; empty if it matches."""
    if not _call_matches(wanted, call):
        return describe(_input_differences(wanted, call), "input", formatter)
    if wanted.is_error is not None and wanted.is_error is not call.is_error:
        return f"expected {'an error' if wanted.is_error else 'no error'}, got {formatter.result(call)}"
    if wanted.expects_result and not _result_matches(wanted, call):
        return _result_mismatch(wanted.result, call, formatter)
    return ""


def closest(wanted: ExpectedCall, calls: Sequence[Call], among: Sequence[int]) -> int | None:
    """Return the number of the call of the expected tool that differs least; None if none of `among` is of the tool."""
    same = [at for at in among if calls[at].tool == wanted.tool][:_MAX_CLOSE]
    if len(same) <= 1:
        return same[0] if same else None
    checkpoint()
    scores = {at: score(wanted.input, calls[at].input, exact=wanted.exact_input) for at in same}
    least = min(scores.values())
    nearest = [at for at in same if scores[at] == least][:_MAX_CLOSE_RESULTS]
    return min(nearest, key=lambda at: _result_score(wanted, calls[at]))


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


def _call_matches(expected: ExpectedCall, call: Call) -> bool:
    return expected.tool == call.tool and fits(expected.input, call.input, exact=expected.exact_input)


def _result_matches(expected: ExpectedCall, call: Call, results: Sequence[Any] | None = None) -> bool:
    return any(fits(expected.result, form) for form in (result_forms(call) if results is None else results))


def _input_differences(wanted: ExpectedCall, call: Call) -> Iterator[Difference]:
    return differences(wanted.input, call.input, exact=wanted.exact_input)


def _result_score(wanted: ExpectedCall, call: Call) -> int:
    is_other_outcome = wanted.is_error is not None and wanted.is_error is not call.is_error
    expected = wanted.result
    return 2 * is_other_outcome + (score(expected, _nearest_form(expected, call)) if wanted.expects_result else 0)


def _result_mismatch(expected: Any, call: Call, formatter: ValueFormatter) -> str:
    text = result_text(call.content)
    if not text and call.structured is None:
        return f"{describe([Difference('', 'missing', expected)], 'result', formatter)}, got {formatter.result(call)}"
    found = describe(differences(expected, _nearest_form(expected, call)), "result", formatter)
    return f"{found}{_ambiguity(text)}"


def _nearest_form(expected: Any, call: Call) -> Any:
    """Return the form of a result to compare with the expected value: one of its type, of those the nearest."""
    types = _expected_types(expected)
    return min(
        result_forms(call), key=lambda form: (bool(types) and json_type(form) not in types, score(expected, form))
    )


def _expected_types(expected: Any) -> set[str]:
    """Return the types of values, as `json_type` names them, that an expected value may accept; empty if any."""
    match expected:
        case {"$equals": inner}:
            return {json_type(inner)}
        case {"$regex": _}:
            return {"text"}
        case {"$approx": _}:
            return {"a number"}
        case {"$type": str(name)} if name in _TYPES:
            return {_TYPES[name]}
    return set() if is_matcher(expected) else {json_type(expected)}


def _ambiguity(text: str) -> str:
    """Return why text that looks like JSON is compared as text; empty if it is compared as JSON."""
    try:
        loads(text)
    except AmbiguousError as error:
        return f", which is compared as text: {error}"
    except ValueError:
        pass
    return ""
