"""Convert the arguments of `mcprun call`, JSON or KEY=VALUE, to a tool's input by the tool's schema. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcprun._util.json_path import child_path
from mcprun._util.json_text import levels, loads
from mcprun._util.json_value import JsonObject
from mcprun._util.similar_names import did_you_mean
from mcprun.evaluation.json_schema import is_schema
from mcprun.tools.api_schema import MAX_SCHEMA_DEPTH
from mcprun.tools.json_schema.document import TYPES, type_of
from mcprun.tools.json_schema.variants import SchemaVariants

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

_NAMED = 20
"""Maximum number of a tool's arguments that a message names."""

Pair = tuple[str, str]


def parse_arguments(words: Sequence[str], schema: Any) -> JsonObject:
    """Return the input that `words` describe: each is a JSON object, or KEY=VALUE, which takes precedence.

    A value is converted to the type that the tool's input schema gives its key. A key that takes a list may be
    repeated. `a.b=1` sets the key `b` of the object `a`. Raises `ValueError` with the key and the reason.
    """
    found: JsonObject = {}
    pairs: list[Pair] = []
    for word in words:
        key, mark, text = word.partition("=")
        if word.lstrip().startswith("{"):
            found |= _json_object(word)
        elif mark and key:
            pairs.append((key, text))
        else:
            raise ValueError(f"{word!r} is neither KEY=VALUE nor a JSON object")
    usable = schema if isinstance(schema, dict) and levels(schema) <= MAX_SCHEMA_DEPTH and is_schema(schema) else {}
    return found | _Converter(SchemaVariants(usable)).object(pairs, usable, "")


def _json_object(text: str) -> JsonObject:
    try:
        value = loads(text)
    except ValueError as error:
        raise ValueError(f"{text if len(text) <= 60 else text[:60] + '…'} is not JSON: {error}") from None
    assert isinstance(value, dict)  # noqa: S101  it begins with a brace
    return value


@dataclass(slots=True)
class _Group:
    """What is given for one key: texts for the key itself, and pairs for the keys of its object."""

    texts: list[str] = field(default_factory=list)
    inner: list[Pair] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Converter:
    """Converts texts by the subschemas of one document."""

    variants: SchemaVariants

    def object(self, pairs: Iterable[Pair], schema: Any, path: str) -> JsonObject:
        """Return the object that the pairs describe. `path` is that of the object, with a dot, for messages."""
        views = self.variants.of(schema)
        properties: JsonObject = {}
        for view in views:
            properties = {**view.get("properties", {}), **properties}
        groups: dict[str, _Group] = {}
        for key, text in pairs:
            name, mark, rest = ("", "", "") if key in properties else key.partition(".")
            group = groups.setdefault(name if mark and name and rest else key, _Group())
            if mark and name and rest:
                group.inner.append((rest, text))
            else:
                group.texts.append(text)
        return {
            name: self._value(group, _property_schema(name, properties, views, path), f"{path}{name}")
            for name, group in groups.items()
        }

    def _value(self, group: _Group, schema: Any, path: str) -> Any:
        views = self.variants.of(schema) or [{}]
        kinds = frozenset[str]().union(*map(kinds_of, views))
        if group.inner and group.texts:
            raise ValueError(f"{path}: is given both as a whole and by its keys")
        if group.inner and "object" not in kinds:
            raise ValueError(f"{path}: must be {named_kinds(kinds)}, not an object")
        if group.inner:
            return self.object(group.inner, schema, f"{path}.")
        if "array" in kinds and not (len(group.texts) == 1 and _is_whole(group.texts[0], kinds)):
            items = next((view["items"] for view in views if "items" in view), True)
            return [self._value(_Group([text]), items, child_path(path, at)) for at, text in enumerate(group.texts)]
        if len(group.texts) > 1:
            raise ValueError(f"{path}: is given {len(group.texts)} times, but takes no list")
        return _scalar(group.texts[0], kinds, _choices(views), path)


def _property_schema(name: str, properties: JsonObject, views: Sequence[JsonObject], path: str) -> Any:
    """Return the schema of a property. Raises `ValueError` if the object declares others, but not this one."""
    if name in properties:
        return properties[name]
    rest = [view["additionalProperties"] for view in views if view.get("additionalProperties")]
    if rest or not properties or any(view.get("patternProperties") for view in views):
        return next(iter(rest), True)
    known = [*map(repr, list(properties)[:_NAMED]), *(["…"] if len(properties) > _NAMED else [])]
    hint = did_you_mean(name, properties) or f"; the keys are {', '.join(known)}"
    raise ValueError(f"{path}{name}: there is no such argument{hint}")


def kinds_of(view: Mapping[str, Any]) -> frozenset[str]:
    """Return the types that a schema without references and alternatives allows."""
    if "type" in view:
        return frozenset([view["type"]] if isinstance(view["type"], str) else view["type"])
    if "const" in view or "enum" in view:
        return frozenset(map(type_of, _choices([view])))
    return frozenset({"object"}) if "properties" in view else TYPES


def _choices(views: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [value for view in views for value in [*view.get("enum", ()), *([view["const"]] if "const" in view else [])]]


def _is_whole(text: str, kinds: frozenset[str]) -> bool:
    """Return whether a text for a key that takes a list is the whole value, not an item of it."""
    value = _parsed(text)
    kind = "string" if value is _NOT_JSON else type_of(value)
    return kind == "array" or (kind in kinds and kind != "string" and kinds != TYPES) or "string" in kinds


_NOT_JSON = object()


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return _NOT_JSON


def _scalar(text: str, kinds: frozenset[str], choices: Sequence[Any], path: str) -> Any:
    """Convert a text to a value of one of `kinds`. JSON is read as such, unless only a string fits."""
    if kinds == {"string"} or text in choices:
        return text
    value = _parsed(text)
    kind = "" if value is _NOT_JSON else type_of(value)
    if kind in kinds or (kind == "integer" and "number" in kinds):
        is_whole_float = isinstance(value, float) and kind == "integer" and "number" not in kinds
        return int(value) if is_whole_float else value
    if "boolean" in kinds and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if "string" in kinds:
        return text
    raise ValueError(
        f"{path}: must be {named_kinds(kinds)}, not {text if kind else json.dumps(text, ensure_ascii=False)}"
    )


def named_kinds(kinds: Iterable[str]) -> str:
    """Return types for a message: `an integer or null`."""
    articles = {"null": "null", "integer": "an integer", "array": "a list", "object": "an object"}
    return " or ".join(articles.get(kind, f"a {kind}") for kind in sorted(kinds)) or "nothing"
