"""Describe violations of a JSON Schema. Pure.

`jsonschema` quotes the whole value and the whole keyword in its messages, and every key in its paths. All of these may
be long: a value may be as large as a message from a server.
"""

from __future__ import annotations

import json
from typing import Any

from jsonschema.exceptions import ValidationError

from mcprun._util.json_value import json_type

_MAX_REASON, _MAX_QUOTED, _MAX_PATH, _MAX_STEP, _MAX_ENDS = 300, 100, 200, 40, 2
"""Maximum characters of a reason, a quoted keyword, a path and a key in it; steps kept at each end of a path."""


def path_of(error: ValidationError) -> str:
    """Return the JSON path of a violation (`$` for the whole value), without the middle if it is long."""
    path = error.json_path
    if len(path) <= _MAX_PATH:
        return path
    steps = [_step(step) for step in error.absolute_path]
    if len(steps) > 2 * _MAX_ENDS:
        steps[_MAX_ENDS:-_MAX_ENDS] = [" … "]
    return f"${''.join(steps)}"


def reason_of(error: ValidationError) -> str:
    """Return the reason of a violation. No part of it is truncated, since half a secret would not be redacted."""
    if len(error.message) <= _MAX_REASON:
        return error.message
    keyword = json.dumps(error.validator_value, ensure_ascii=False, default=str)
    wanted = keyword if len(keyword) <= _MAX_QUOTED else _size(error.validator_value)
    return f"{_size(error.instance)} does not match {error.validator!r}: {wanted}"


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if len(step) <= _MAX_STEP else f".(a key of {len(step):,} characters)"


def _size(value: Any) -> str:
    """Return the JSON type of a value, with its size if it has one."""
    match value:
        case str():
            return f"a string of {_many(len(value), 'character')}"
        case list():
            return f"a list of {_many(len(value), 'item')}"
        case dict():
            return f"an object of {_many(len(value), 'key')}"
    return json_type(value)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
