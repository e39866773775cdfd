"""The format of a reference, `{"$from": …, "path": …, "match": …, "as": …}`, to the result of an earlier step or call.

`models/references.py` resolves references.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcprun._util.json_value import JsonObject, describe_kind
from mcprun._util.similar_names import did_you_mean, similar_name
from mcprun.evaluation.patterns import compile_pattern

REFERENCE_TYPES = ("string", "number", "integer", "boolean", "json")
"""The types to which a reference's `as` converts its value."""

_KEYS = frozenset({"$from", "path", "match", "as"})

_ALIKE = 0.7
"""Minimum similarity of a misspelt `$from`: `$form` has 0.8."""

_MAX_LEVELS = 400
"""Maximum nesting of an input, in levels: not far above, Python's recursion limit is reached."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a reference may use: the results of earlier steps and calls with these `ids`, and those of `calls` calls.

    `calls` is None if their number is not known before the query runs. `later` maps the ids of steps and calls that
    have not run to their places, such as `after[0]`. `of_model` is whether calls of the model may come before.
    """

    ids: Sequence[str] = ()
    calls: int | None = 0
    later: Mapping[str, str] = field(default_factory=dict)
    of_model: bool = True


def references_in(value: Any) -> Iterator[JsonObject]:
    """Yield every reference in a JSON value. Raises `ValueError` if it has too many levels."""
    return (one for one in _objects_in(value) if "$from" in one)


def _objects_in(value: Any, levels: int = _MAX_LEVELS) -> Iterator[JsonObject]:
    if not isinstance(value, dict | list):
        return
    if not levels:
        raise ValueError(f"an input is nested more than {_MAX_LEVELS} deep")
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from _objects_in(item, levels - 1)


def input_problem(value: JsonObject, earlier: Earlier) -> str | None:
    """Return what is wrong with the references in the input of a call or step; None if they are valid."""
    if "$from" in value:
        return "$from can replace a value in the input, not the whole input"
    return value_problem(value, earlier)


def value_problem(value: Any, earlier: Earlier) -> str | None:
    """Return what is wrong with the references in a JSON value; None if they are valid."""
    try:
        return next((found for one in _objects_in(value) if (found := _problem(one, earlier))), None)
    except ValueError as error:
        return str(error)


def _problem(reference: JsonObject, earlier: Earlier) -> str | None:
    """Return what is wrong with an object that is a reference, or was meant to be one."""
    if "$from" not in reference:
        return _misspelt_problem(reference)
    if unknown := set(reference) - _KEYS:
        return f"$from accepts only path, match and as, not {', '.join(sorted(unknown))}"
    path, match = reference.get("path", ""), reference.get("match", "")
    if problem := _source_problem(reference["$from"], earlier):
        return problem
    if not isinstance(path, str) or (path and not path.startswith("/")):
        return f"path must be a JSON Pointer such as /structuredContent/id, not {describe_kind(path)}"
    if "as" in reference and reference["as"] not in REFERENCE_TYPES:
        return f"as must be one of {', '.join(REFERENCE_TYPES)}, not {describe_kind(reference['as'])}"
    if not isinstance(match, str):
        return "match must be a regular expression"
    try:
        compile_pattern(match)
    except ValueError as error:
        return f"match: {error}"
    return None


def _misspelt_problem(value: JsonObject) -> str | None:
    """Return that an object is a reference but for its `$from`, as `{"$form": "issue", "path": "/id"}`; else None."""
    key = next((key for key in value if key.startswith("$")), "")
    if not key or value.keys() - _KEYS != {key} or not similar_name(key, ["$from"], _ALIKE):
        return None
    return f"{key!r} is not a key of a reference; did you mean '$from'?"


def _source_problem(source: Any, earlier: Earlier) -> str | None:
    """Return why a `$from` names no earlier step or call; None if it does."""
    if isinstance(source, str) and source in earlier.ids:
        return None
    if isinstance(source, str) and source in earlier.later:
        return f"$from: {source!r} is the id of {earlier.later[source]}, whose result is not known yet"
    if isinstance(source, int) and not isinstance(source, bool) and source >= 0:
        if earlier.calls is None or source < earlier.calls:
            return None
    elif isinstance(source, str) and (earlier.ids or not source.isdecimal()):
        known = f"; their ids are {', '.join(map(repr, earlier.ids))}" if earlier.ids else ""
        return f"$from: no earlier step or call has the id {source!r}{did_you_mean(source, earlier.ids) or known}"
    if not earlier.of_model:
        return f"$from must be the id of a step of `before` (no call has been made yet), not {describe_kind(source)}"
    if earlier.calls is None:
        return f"$from must be the id of a step or the number of a call, not {describe_kind(source)}"
    numbers = {0: "no call is made in an earlier turn", 1: "the only one is 0"}
    known = numbers.get(earlier.calls, f"0 to {earlier.calls - 1}")
    return f"$from must be the number of a call in an earlier turn ({known}), not {describe_kind(source)}"
