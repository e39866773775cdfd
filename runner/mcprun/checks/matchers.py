"""Compare a value with an expected one. Plain values must be equal as JSON; a matcher can replace any value. Pure.

{"$any": true}                      anything
{"$regex": "^a"}                    a string in which the pattern is found
{"$oneof": [1, "one"]}              a value that matches one of these
{"$type": "integer"}                a JSON type, or a list of them, named as in JSON Schema
{"$approx": 3.14, "within": 0.01}   a number at most this far away; `within` defaults to a millionth of the number
{"$equals": {…}}                    exactly this value; a plain object would match objects with more keys as well

`"$optional": true` in a matcher allows its key to be absent. Alone, it matches anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from mcprun._util.json_value import json_equal
from mcprun.evaluation import evaluator
from mcprun.evaluation.patterns import compile_pattern

APPROX_TOLERANCE = 1e-6
"""The default tolerance of `$approx`, relative to the number's absolute value or to 1, whichever is larger."""

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and value == int(value) if _is_finite(value) else False,
    "number": lambda value: _is_number(value),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}


def fits(expected: Any, got: Any, *, exact: bool = False) -> bool:
    """Return whether a JSON value matches an expected one.

    Objects may hold more keys than expected, unless `exact`. `expected` must have no `problem`. Raises
    `EvaluationError` if a pattern runs out of time.
    """
    if isinstance(expected, dict):
        if is_matcher(expected):
            return _matches(expected, got, exact)
        return isinstance(got, dict) and _object_fits(expected, got, exact)
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(fits(one, other, exact=exact) for one, other in zip(expected, got, strict=True))
        )
    return json_equal(expected, got)


def is_matcher(value: Any) -> bool:
    """Return whether a value is a matcher: an object with a key that begins with a dollar sign."""
    return isinstance(value, dict) and any(key.startswith("$") for key in value)


def problem(expected: Any) -> str | None:
    """Return what is wrong with an expected value, such as an unknown matcher or a bad pattern; None if it is valid."""
    if isinstance(expected, list):
        return next((found for item in expected if (found := problem(item))), None)
    if not isinstance(expected, dict):
        return None
    if not is_matcher(expected):
        return next((found for item in expected.values() if (found := problem(item))), None)
    kinds = [key for key in expected if key in _PROBLEMS]
    known = {*kinds, "$optional"} | ({"within"} if "$approx" in expected else set())
    if unknown := [key for key in expected if key not in known]:
        return f"{unknown[0]!r} is not a matcher key; the keys are {', '.join([*_PROBLEMS, '$optional'])}"
    if len(kinds) > 1:
        return f"{kinds[0]} and {kinds[1]} can't be combined in one matcher"
    if not isinstance(expected.get("$optional", True), bool):
        return "$optional must be true or false"
    return _PROBLEMS[kinds[0]](expected) if kinds else None


def _matches(matcher: dict[str, Any], got: Any, exact: bool) -> bool:
    match matcher:
        case {"$regex": pattern}:
            return isinstance(got, str) and evaluator.search(pattern, got) is not None
        case {"$oneof": values}:
            return any(fits(value, got, exact=exact) for value in values)
        case {"$type": names}:
            return any(_TYPES[name](got) for name in ([names] if isinstance(names, str) else names))
        case {"$approx": number}:
            return _is_finite(got) and _is_near(got, number, matcher.get("within"))
        case {"$equals": value}:
            return json_equal(value, got)
    return True


def _object_fits(expected: dict[str, Any], got: dict[str, Any], exact: bool) -> bool:
    if exact and not got.keys() <= expected.keys():
        return False
    return all(
        fits(value, got[key], exact=exact) if key in got else is_matcher(value) and value.get("$optional") is True
        for key, value in expected.items()
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or math.isfinite(value))


def _is_near(got: float, number: float, tolerance: float | None) -> bool:
    try:
        return abs(got - number) <= (APPROX_TOLERANCE * max(1.0, abs(number)) if tolerance is None else tolerance)
    except OverflowError:  # an integer beyond the range of a float, which JSON allows
        one, other = Fraction(got), Fraction(number)
        return abs(one - other) <= (
            Fraction(APPROX_TOLERANCE) * abs(other) if tolerance is None else Fraction(tolerance)
        )


# Validation of each matcher. ----------------------------------------------------------------


def _bad_any(matcher: dict[str, Any]) -> str | None:
    return None if matcher["$any"] is True else "$any must be true"


def _bad_regex(matcher: dict[str, Any]) -> str | None:
    try:
        compile_pattern(matcher["$regex"])
    except TypeError:
        return "$regex must be text"
    except ValueError as error:
        return f"$regex: {error}"
    return None


def _bad_oneof(matcher: dict[str, Any]) -> str | None:
    values = matcher["$oneof"]
    return problem(values) if isinstance(values, list) and values else "$oneof must be a non-empty list"


def _bad_type(matcher: dict[str, Any]) -> str | None:
    names = matcher["$type"]
    names = [names] if isinstance(names, str) else names
    if isinstance(names, list) and names and all(isinstance(name, str) and name in _TYPES for name in names):
        return None
    return f"$type must be one of {', '.join(_TYPES)}, or a list of them"


def _bad_approx(matcher: dict[str, Any]) -> str | None:
    if not _is_finite(matcher["$approx"]):
        return "$approx must be a number"
    within = matcher.get("within", 0)
    return None if _is_finite(within) and within >= 0 else "within must be a number of at least 0"


_PROBLEMS: Mapping[str, Callable[[dict[str, Any]], str | None]] = {
    "$any": _bad_any,
    "$regex": _bad_regex,
    "$oneof": _bad_oneof,
    "$type": _bad_type,
    "$approx": _bad_approx,
    "$equals": lambda _: None,
}
