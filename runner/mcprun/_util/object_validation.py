"""Validate MCP objects and records one by one, and describe problems by key. Pure.

The SDK validates a result as a whole, and its errors name members of its own unions.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from mcprun._util.json_path import format_path
from mcprun._util.json_value import JsonObject, json_type
from mcprun._util.nesting import MAX_DEPTH, TOO_DEEP

_EXPECTED = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
}
"""The JSON type that each pydantic error type expects."""


_SHOULD_BE = "Input should be "

_SHOWN = 60
"""Characters of an invalid value that are shown in a problem."""


def mismatch(where: str, value: Any, expected: str) -> str:
    """Describe a value of the wrong JSON type: `title is a number, not text`."""
    if value == TOO_DEEP:
        return f"{where} is nested more than {MAX_DEPTH} deep"
    return f"{where} is {json_type(value)}, not {expected}"


def problem(error: ValidationError, skip: int = 0) -> str:
    """Describe the first problem of an object by its key: `data is missing`, `title is a number, not text`.

    The first `skip` steps of the error's location lead to the object, and are omitted.
    """
    detail = error.errors(include_url=False)[0]
    where = format_path(detail["loc"][skip:])
    if detail["type"] == "missing":
        return f"{where} is missing"
    if detail["type"] == "json_invalid":
        return f"not valid JSON: {detail['msg'].removeprefix('Invalid JSON: ')}"
    if expected := _EXPECTED.get(detail["type"]):
        return mismatch(where or "it", detail["input"], expected)
    if detail["msg"].startswith(_SHOULD_BE):
        expected = re.sub(r"(greater|less) than or equal to (\S+)", _bound, detail["msg"].removeprefix(_SHOULD_BE))
        value = detail["input"]
        is_shown = isinstance(value, str | int | float) and not isinstance(value, bool)
        return f"{where} is {repr(value)[:_SHOWN] if is_shown else json_type(value)}, not {expected}"
    return f"{where}: {detail['msg']}" if where else str(detail["msg"])


def _bound(match: re.Match[str]) -> str:
    return f"at {'least' if match[1] == 'greater' else 'most'} {match[2]}"


def checked(model: type[BaseModel], value: JsonObject, optional: frozenset[str]) -> tuple[JsonObject, list[str]]:
    """Validate an object against an SDK model. Return it without its malformed `optional` keys, and their problems.

    Raises `ValueError` with the problem if a key that is not optional is malformed or missing.
    """
    problems: list[str] = []
    while True:
        try:
            model.model_validate(value, by_name=False)
        except ValidationError as error:
            key = error.errors(include_url=False)[0]["loc"][0]
            if key not in optional or key not in value:
                raise ValueError(problem(error)) from None
            problems.append(problem(error))
            value = {name: item for name, item in value.items() if name != key}
        else:
            return value, problems
