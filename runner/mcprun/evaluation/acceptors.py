"""Accept most valid values in a fraction of the time that `jsonschema` takes, without a reason for those left over.

An acceptor is compiled from a schema once. A value that it accepts is valid. One that it does not accept has to be
validated: it may be valid as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Acceptor = Callable[[Any], bool]
"""Return whether a value is certainly valid."""

_ANNOTATIONS = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "format", "$comment",
    "$schema",
})  # fmt: skip
"""Keywords that accept every value (JSON Schema Validation 2020-12, sections 7 and 9). mcprun ignores `$schema`."""

_SUPPORTED = _ANNOTATIONS | {"type", "properties", "required", "additionalProperties", "items", "anyOf"}

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "number": (int, float), "integer": (int,),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
"""The Python types of each JSON type, compared exactly: a `bool` is no number."""


def compile_acceptor(schema: Any) -> Acceptor:
    """Return the acceptor of a valid schema. If any of its keywords is not supported, it accepts nothing."""
    try:
        return _compiled(schema)
    except NotImplementedError:
        return _refuse


def _compiled(schema: Any) -> Acceptor:
    if isinstance(schema, bool):
        return _accept if schema else _refuse
    if not schema.keys() <= _SUPPORTED:
        raise NotImplementedError
    compilers = dict.fromkeys(_COMPILERS[keyword] for keyword in schema if keyword in _COMPILERS)
    parts = [compiler(schema) for compiler in compilers]
    return parts[0] if len(parts) == 1 else lambda value: all(part(value) for part in parts)


def _accept(_: Any) -> bool:
    return True


def _refuse(_: Any) -> bool:
    return False


def _of_type(schema: Mapping[str, Any]) -> Acceptor:
    names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    types = frozenset(one for name in names for one in _TYPES.get(name, ()))
    return lambda value: type(value) in types


def _of_properties(schema: Mapping[str, Any]) -> Acceptor:
    """Return the acceptor of an object's keys and values. Like the keywords, it accepts all that are not objects."""
    properties = {name: _compiled(one) for name, one in schema.get("properties", {}).items()}
    required = frozenset(schema.get("required", ()))
    rest = _compiled(schema.get("additionalProperties", True))

    def accepts(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        return required <= value.keys() and all(properties.get(name, rest)(item) for name, item in value.items())

    return accepts


def _of_items(schema: Mapping[str, Any]) -> Acceptor:
    accepts = _compiled(schema["items"])
    return lambda value: not isinstance(value, list) or all(map(accepts, value))


def _of_any(schema: Mapping[str, Any]) -> Acceptor:
    options = [_compiled(one) for one in schema["anyOf"]]
    return lambda value: any(option(value) for option in options)


_COMPILERS: dict[str, Callable[[Mapping[str, Any]], Acceptor]] = {
    "type": _of_type,
    "properties": _of_properties,
    "required": _of_properties,
    "additionalProperties": _of_properties,
    "items": _of_items,
    "anyOf": _of_any,
}
