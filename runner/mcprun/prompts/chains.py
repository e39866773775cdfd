"""Generate scripts with several calls for tools that need what another tool makes: create, then read. Pure.

A call that failed with its generated input is preceded by calls that worked. Its arguments are taken from their results
(`{"$from": …}`), or get the values that those calls had.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.prompts.script_query import is_reference, script_query
from mcprun.tools.json_schema.named_values import split_name

_MAX_CALLS = 4
"""Maximum calls of a generated script."""

_MAX_LEVELS = 4
"""Maximum levels of a result to search for an argument's value."""

_MAKERS = frozenset(
    {
        "activate", "add", "begin", "connect", "create", "import", "init", "initialize", "insert", "launch", "load",
        "make", "navigate", "new", "open", "put", "register", "save", "set", "setup", "start", "store", "submit",
        "upload", "write",
    }
)  # fmt: skip
_LISTERS = frozenset({"list", "search", "find", "query", "browse", "get", "read", "show"})
_STARTERS = frozenset(
    {"start", "open", "connect", "init", "initialize", "launch", "load", "activate", "navigate", "begin"}
)
_ENDERS = frozenset({"delete", "remove", "close", "stop", "clear", "end", "quit", "disconnect", "shutdown", "reset"})
"""Verbs in the names of tools: of those that make something, find something, prepare the server, and undo that."""

_IDS = frozenset({"id", "uuid", "guid", "key", "uid", "handle", "token", "ref"})
_NEUTRAL = frozenset({"content", "data", "item", "object", "output", "payload", "record", "response", "result"})
"""Keys of results, in the singular, that say nothing about what is in them."""

_ID_IN_TEXT = r"(?i)\b(?:id|uuid|key)\b\W{1,4}([\w-]+)"


@dataclass(frozen=True, slots=True)
class WorkedCalls:
    """The calls of a script that worked: as scripted, and the last one's MCP result (`content`, `structured`)."""

    tool: JsonObject
    calls: Sequence[JsonObject]
    content: Sequence[JsonObject]
    structured: Any = None

    @property
    def words(self) -> set[str]:
        """The words of the last tool's name."""
        return _words(self.tool["name"])

    @property
    def value(self) -> Any:
        """The result as JSON: that of its text, else the structured content, which may wrap a text; else None."""
        with suppress(ValueError, RecursionError):
            found = json.loads(self.text)
            if isinstance(found, dict | list):
                return found
        return self.structured

    @property
    def text(self) -> str:
        """The first text of the result."""
        return next((str(block.get("text", "")) for block in self.content if block.get("type") == "text"), "")


def chained_queries(query: JsonObject, tool: JsonObject, worked: Sequence[WorkedCalls], most: int) -> list[JsonObject]:
    """Return up to `most` queries that make calls that worked before the call of `query`, the likeliest first."""
    (call,) = query["script"][-2]["calls"]
    scored: list[tuple[int, int, JsonObject]] = []
    for number, before in enumerate(worked):
        if before.tool["name"] == tool["name"] or len(before.calls) >= _MAX_CALLS:
            continue
        arguments, score = _linked(call["input"], tool["name"], before)
        if score:
            calls = [*before.calls, {"tool": tool["name"], "input": arguments}]
            scored.append((-score, number, script_query(tool, query, calls)))
    return [found for _, _, found in sorted(scored, key=lambda one: one[:2])[:most]]


def _linked(arguments: Mapping[str, Any], tool: str, before: WorkedCalls) -> tuple[JsonObject, int]:
    """Return the arguments with those that the calls `before` determine, and how likely this helps; 0 if it can't."""
    shared = len(_nouns(tool) & _nouns(before.tool["name"]))
    verbs = before.words
    if verbs & _ENDERS:
        return {}, 0
    linked, taken, same_count = dict(arguments), 0, 0
    for name, value in arguments.items():
        reference = _reference(name, value, before, is_related=shared > 0)
        same = before.calls[-1]["input"].get(name)
        if is_reference(same):
            linked[name], taken = same, taken + 1
        elif reference:
            linked[name], taken = reference, taken + 1
        elif same is not None and type(same) is type(value) and not isinstance(same, bool):
            linked[name], same_count = same, same_count + 1
    makes = 2 if verbs & _MAKERS else 1 if verbs & _LISTERS else 0
    if taken or (same_count and makes):
        return linked, 4 * taken + 2 * same_count + 2 * makes + shared
    if verbs & _STARTERS or (verbs & _MAKERS and shared):
        return linked, 1 + shared
    return {}, 0


def _reference(name: str, value: Any, before: WorkedCalls, *, is_related: bool) -> JsonObject | None:
    """Return a reference to the part of a result that an argument needs; None if there is none."""
    number = len(before.calls) - 1
    for path, found in _properties(before.value, "", 0):
        owner, _, key = path.removesuffix("/0").rpartition("/")
        if (
            not _fits(name, key, _noun(owner.removesuffix("/0").rpartition("/")[2]), is_related=is_related)
            or isinstance(found, bool | dict | list)
            or found is None
        ):
            continue
        if isinstance(value, str) and not isinstance(found, str):
            return {"$from": number, "path": path, "as": "string"}
        if isinstance(value, int | float) and isinstance(found, str):
            continue
        return {"$from": number, "path": path}
    is_id = bool(_IDS & set(split_name(name)))
    if is_id and is_related and not isinstance(before.value, list) and re.search(_ID_IN_TEXT, before.text):
        return {"$from": number, "match": _ID_IN_TEXT} | ({} if isinstance(value, str) else {"as": "integer"})
    return None


def _fits(argument: str, key: str, owner: str, *, is_related: bool) -> bool:
    """Return whether a property of a result is what an argument needs: `note_id` or, of a note, `id`.

    `owner` is the noun that the property belongs to in the result: `note` in `{"notes": [{"id": 1}]}`.
    """
    names, keys = split_name(argument), split_name(key)
    if names == keys:
        return bool(names) and (is_related or bool(_IDS & set(names)) or len(names) > 1)
    is_id = bool(_IDS & set(names[-1:])) and len(keys) == 1 and keys[0] in _IDS
    is_owned = bool(owner) and owner not in _NEUTRAL and len(names) > 1
    return is_id and (owner in names if is_owned else is_related)


def _properties(value: Any, path: str, level: int) -> Iterator[tuple[str, Any]]:
    """Yield the properties of a value with their JSON Pointers, the outer ones first, and of lists the first item's."""
    if level > _MAX_LEVELS:
        return
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(f"{path}/{key.replace('~', '~0').replace('/', '~1')}", item) for key, item in value.items()]
    elif isinstance(value, list) and value:
        items = [(f"{path}/0", value[0])]
    yield from items
    for inner, item in items:
        yield from _properties(item, inner, level + 1)


def _words(name: str) -> set[str]:
    return set(split_name(name))


def _noun(name: str) -> str:
    """Return the last word of a property's name in the singular; empty if it has none."""
    return next(iter(split_name(name)[-1:]), "").removesuffix("s")


def _nouns(name: str) -> set[str]:
    """Return the words of a tool's name that are no verbs, in the singular."""
    return {word.removesuffix("s") for word in _words(name) - _MAKERS - _LISTERS - _ENDERS}
