"""Resolve the references and names in the inputs of calls and steps: `{"$from": …}` and `{{name}}`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from mcprun._util.json_path import child_path
from mcprun._util.json_text import index_of, loads
from mcprun._util.json_value import JsonObject, json_type
from mcprun._util.quoted_pattern import quote_pattern
from mcprun.evaluation.evaluator import search
from mcprun.prompts.bindings import Bindings, Result
from mcprun.prompts.names import Mode, with_values
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from mcprun.tools.results import result_text

_STRUCTURED = "structuredContent"

_SHOWN_KEYS = 10
"""Maximum number of an object's keys in a message."""

_MAX_REASON = 300
"""Maximum length of a reason in a message, in characters."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""Numbers in text. Unlike in JSON, they may have a plus sign and leading zeros."""


class UnresolvedReferenceError(LookupError):
    """A reference that can't be resolved. `depth` is the number of steps of its path that were found.

    `lacks_part` is whether the result that it names is there and no error, but not the part.
    """

    def __init__(self, message: str, depth: int = 0, *, lacks_part: bool = False) -> None:
        super().__init__(message)
        self.depth = depth
        self.lacks_part = lacks_part


def holds_reference(value: Any) -> bool:
    """Return whether a JSON value contains a reference."""
    if isinstance(value, dict):
        return "$from" in value or any(map(holds_reference, value.values()))
    return isinstance(value, list) and any(map(holds_reference, value))


def resolve(value: Any, bindings: Bindings, formatter: ValueFormatter | None = None, place: str = "") -> Any:
    """Replace every name, and every `{"$from": …, "path": …, "match": …, "as": …}`, in a JSON value.

    A reference stands for a part of the result that `$from` names: of a call by its number, of a step or call by its
    id.

    - `path` is a JSON Pointer (RFC 6901) into the MCP result. If it finds nothing there, it points into the structured
      content, else into the JSON of the text. It also continues into a text of the result that is JSON.
    - Without a `path`, the value is the result's text.
    - `match` is a regular expression on the value: its first group, or else the whole match, is used.
    - `as` is the type to convert to: `string`, `number`, `integer`, `boolean`, or `json` to parse the text.

    `place` is the path of `value` in the call's input, for messages. Raises `UnresolvedReferenceError`,
    `EvaluationError`.
    """
    if isinstance(value, list):
        return [resolve(item, bindings, formatter, child_path(place, at)) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return with_values(value, Mode.VALUE, bindings.names) if bindings.names else value
    if "$from" in value:
        return _resolve_reference(value, bindings, formatter or ValueFormatter(), place)
    return {key: resolve(item, bindings, formatter, child_path(place, key)) for key, item in value.items()}


def resolve_pointer(value: Any, pointer: str) -> Any:
    """Return the value at a JSON Pointer (RFC 6901). Raises `UnresolvedReferenceError`."""
    return _find(value, _steps(pointer))


def _resolve_reference(reference: JsonObject, bindings: Bindings, formatter: ValueFormatter, place: str) -> Any:
    source = reference["$from"]
    where = f"{place}: $from {source}" if place else f"$from {source}"
    result = bindings.results.get(source)
    if result is None:
        missing = f"call {source} was not made" if isinstance(source, int) else "no result with this id"
        raise UnresolvedReferenceError(f"{where}: {missing}")
    try:
        return _value(reference, result)
    except UnresolvedReferenceError as error:
        path = f" {reference['path']}" if reference.get("path") else ""
        outcome = f"{result.label} ({formatter.name(result.call.tool)}) {_outcome(result.call, formatter)}"
        reason = formatter.clean(str(error))
        reason = reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}…"
        message = f"{where}{path}: {reason}; {outcome}"
        raise UnresolvedReferenceError(message, lacks_part=not result.call.is_error) from None


def _value(reference: JsonObject, result: Result) -> Any:
    found = _at_path(result, reference["path"]) if "path" in reference else result_text(result.call.content)
    if "match" in reference:
        found = _matched(reference["match"], found)
    return _converted(found, reference["as"]) if "as" in reference else found


def _at_path(source: Result, path: str) -> Any:
    """Return the value at a path in the result, else in its structured content, else in the JSON of its text."""
    result, call, steps = source.wire, source.call, _steps(path)
    if not steps:
        return result
    if call.structured is None:
        result = {key: value for key, value in result.items() if key != _STRUCTURED}
    in_text = list(_json_texts(call.content))
    if call.structured is None and not in_text and steps[0] not in result:
        raise UnresolvedReferenceError(
            f"there is no {steps[0]!r}: the result has no structured content, and its text is not JSON"
        )
    places: list[tuple[Any, list[str]]] = [(result, steps)]
    if call.structured is not None:
        places.append((call.structured, steps))
    elif steps[0] == _STRUCTURED:  # servers send structured content as text too (MCP, "Structured Content")
        places += [(document, steps[1:]) for document in in_text]
    places += [(document, steps) for document in in_text]
    missing: list[UnresolvedReferenceError] = []
    for document, inner in places:
        try:
            return _find(document, inner)
        except UnresolvedReferenceError as error:
            missing.append(error)
    raise max(reversed(missing), key=lambda error: error.depth)


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _find(value: Any, steps: Sequence[str]) -> Any:
    """Return the value at a path. A text on the way to it is read as JSON."""
    for depth, step in enumerate(steps):
        document = _as_json(value) if isinstance(value, str) else value
        if isinstance(document, dict) and step in document:
            value = document[step]
        elif isinstance(document, list) and (index := index_of(step, document)) is not None:
            value = document[index]
        else:
            raise UnresolvedReferenceError(f"there is no {step!r} in {_shape(document)}", depth)
    return value


def _json_texts(content: Sequence[JsonObject]) -> Iterator[Any]:
    """Yield the JSON objects and lists that the text of a result holds: all of the text, or single blocks of it."""
    texts = [block["text"] for block in content if block.get("type") == "text"]
    for text in dict.fromkeys(["\n".join(texts), *texts]):
        if isinstance(found := _as_json(text), dict | list):
            yield found


def _as_json(text: str) -> Any:
    """Parse text as JSON. Return the text itself if it is not."""
    try:
        return loads(text)
    except ValueError:
        return text


def _matched(pattern: str, value: Any) -> str:
    """Return the first group of a pattern's match in a text or a number, or else the whole match."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise UnresolvedReferenceError(f"match needs text or a number, not {json_type(value)}")
    text = value if isinstance(value, str) else json.dumps(value)
    match = search(pattern, text)
    if match is None:
        raise UnresolvedReferenceError(
            f"{quote_pattern(pattern)} does not match" + ("" if isinstance(value, str) else f" {text}")
        )
    if match[1] is None:
        raise UnresolvedReferenceError(f"{quote_pattern(pattern)} matches, but not its first group")
    return match[1]


def _converted(value: Any, kind: str) -> Any:
    """Convert a value to the type that `as` names."""
    text = value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    match kind:
        case "string":
            return value if isinstance(value, str) else text
        case "integer" | "number" if _INTEGER.fullmatch(text):
            return int(text)
        case "integer" | "number" if _NUMBER.fullmatch(text):
            number = float(text)
            if math.isfinite(number) and (kind == "number" or number.is_integer()):
                return number if kind == "number" else int(number)
        case "boolean" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "json" if not isinstance(value, str):
            return value
        case "json":
            with suppress(ValueError):
                return loads(text)
    wanted = {"json": "valid JSON", "integer": "an integer"}.get(kind, f"a {kind}")
    raise UnresolvedReferenceError(f"{text!r} is not {wanted}")


def _shape(value: Any) -> str:
    """Describe a JSON value by its keys, length or type, without its values."""
    if isinstance(value, dict):
        keys = [*map(repr, list(value)[:_SHOWN_KEYS]), *(["…"] if len(value) > _SHOWN_KEYS else [])]
        return f"an object with {', '.join(keys) or 'no keys'}"
    if isinstance(value, list):
        return f"a list of length {len(value)}"
    return "text that is not JSON" if isinstance(value, str) else json_type(value)


def _outcome(call: Call, formatter: ValueFormatter) -> str:
    """Describe the result of a call: that it failed, and its text or structured content."""
    return f"{'failed with' if call.is_error else 'returned'} {formatter.result(call)}"
