"""Map a server's tools to the Messages API, and the model's calls back. Pure.

The API refuses a whole request because of one invalid tool, and names only its index. So names outside the API's
alphabet get stand-ins, which are mapped back when the model calls the tool. Schemas are rewritten
(`tools/api_schema.py`). A tool that can't be sent is left out, and a warning names it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from mcprun._util.json_value import JsonObject, json_equal
from mcprun._util.name_patterns import fits
from mcprun._util.similar_names import similar_name
from mcprun.runs.run_record import Malformed
from mcprun.tools.api_schema import InputSchema, check_output, fit_to_api, replacement_name

_NAME_LENGTH = 128
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")

TASK_ONLY = "it can only be called as a task, which mcprun does not support"


@dataclass(frozen=True, slots=True)
class Note:
    """One deviation between a tool as the server lists it and as it is sent to the API: `rule`, and the reason."""

    tool: str
    rule: Literal["malformed", "ignored", "repeated", "left_out", "task_only", "renamed", "rewritten"]
    text: str

    def __str__(self) -> str:
        mark = ": " if self.rule in ("ignored", "renamed", "rewritten") else " "
        return f"tool {self.tool!r}{mark}{self.text}"


def is_read_only(tool: JsonObject) -> bool:
    """Return whether a server marks a tool in wire form as read-only (MCP, `readOnlyHint`)."""
    return (tool.get("annotations") or {}).get("readOnlyHint") is True


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Which tools may be used: those that match an `allow` pattern (all if there is none) and no `deny` pattern.

    With `read_only`, only those that the server marks as read-only (MCP, `readOnlyHint`).
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    read_only: bool = False

    def __bool__(self) -> bool:
        return bool(self.allow or self.deny or self.read_only)

    def permits(self, tool: JsonObject, names: Container[str] = ()) -> bool:
        """Return whether a tool in wire form may be used; `names` are the names of all tools of the server."""
        if self.read_only and not is_read_only(tool):
            return False
        name = tool["name"]
        return (not self.allow or fits(name, self.allow, names)) and not fits(name, self.deny, names)


@dataclass(frozen=True, slots=True)
class ToolSet:
    """The tools of one session.

    `definitions` are the tools sent to the API, sorted by the server's names. `listed` holds the tools as the server
    sent them. `notes` list what was renamed, rewritten or left out. `names` maps the names sent to the API to the
    server's names; `schemas` maps the server's names to input schemas.
    """

    definitions: tuple[JsonObject, ...] = ()
    listed: tuple[JsonObject, ...] = ()
    notes: tuple[Note, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, InputSchema] = field(default_factory=dict)

    @classmethod
    def of(cls, listed: Iterable[JsonObject], malformed: Iterable[Malformed] = ()) -> Self:
        """Map the tools of `tools/list`, in wire form (`name`, `description`, `inputSchema`).

        `malformed` holds the entries of that list that were malformed.
        """
        tools = sorted(listed, key=lambda tool: tool["name"])
        definitions: list[JsonObject] = []
        notes = [Note(one.item, one.rule, one.message) for one in malformed]
        names: dict[str, str] = {}
        schemas: dict[str, InputSchema] = {}
        seen: set[str] = set()
        for tool in tools:
            name = tool["name"]
            if name in seen:
                notes.append(Note(name, "repeated", "is listed twice; the second entry is left out"))
                continue
            seen.add(name)
            if is_task_only(tool):
                notes.append(Note(name, "task_only", f"is left out: {TASK_ONLY}"))
                continue
            try:
                schema = fit_to_api(tool["inputSchema"])
                check_output(tool.get("outputSchema"))
            except ValueError as error:
                notes.append(Note(name, "left_out", f"is left out: {error}"))
                continue
            sent = name
            if not _NAME.fullmatch(name):
                sent = replacement_name(name, _NAME_LENGTH, "-")
                notes.append(Note(name, "renamed", f"its name is sent to the API as {sent!r}"))
            notes += [Note(name, "rewritten", note) for note in schema.notes]
            names[sent], schemas[name] = name, schema
            definition: JsonObject = {"name": sent, "input_schema": schema.api}
            if tool.get("description"):
                definition["description"] = tool["description"]
            definitions.append(definition)
        return cls(tuple(definitions), tuple(tools), tuple(notes), names, schemas)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes as text."""
        return tuple(map(str, self.notes))

    def lists(self, name: str) -> bool:
        """Return whether the server lists a tool of this name, even one that may not be used or can't be sent."""
        return name in self.schemas or any(tool["name"] == name for tool in self.listed)

    def unknown(self, names: Iterable[str]) -> dict[str, str]:
        """Map each name that the server does not list to the most similar usable tool, or to an empty string."""
        return {name: similar_name(name, self.names.values()) for name in names if not self.lists(name)}

    def only(self, permit: ToolFilter) -> Self:
        """Return the tool set restricted to the tools that may be used."""
        if not permit:
            return self
        first = {tool["name"]: tool for tool in reversed(self.listed)}  # of duplicates, the first one counts
        permitted = {sent: name for sent, name in self.names.items() if permit.permits(first[name], first)}
        definitions = tuple(one for one in self.definitions if one["name"] in permitted)
        return replace(self, definitions=definitions, names=permitted)

    def from_api(self, name: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Map a model's call to the server's name and keys. An unknown name is returned unchanged."""
        tool = self.names.get(name, name)
        return tool, self.schemas[tool].from_api(arguments) if tool in self.schemas else arguments

    def to_api(self, tool: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Map a call with the server's name and keys to those sent to the API; the inverse of `from_api`.

        A tool that the server does not list has no stand-in, since it was never sent to a model.
        """
        sent = next((sent for sent, name in self.names.items() if name == tool), tool)
        return sent, self.schemas[tool].to_api(arguments) if tool in self.schemas else arguments


def unmatched(
    permit: ToolFilter, patterns: Mapping[tuple[str, str], str], tools: Iterable[JsonObject]
) -> Iterator[str]:
    """Yield a warning for each pattern that matches no tool of the server and therefore has no effect.

    `patterns` maps each pair of a query's key and a pattern to the id of the first query that has it.
    """
    names = [tool["name"] for tool in tools]
    flags = [*(("--allow-tool", one) for one in permit.allow), *(("--deny-tool", one) for one in permit.deny)]
    all_patterns = {**dict.fromkeys(flags, ""), **patterns}
    for (where, pattern), query in all_patterns.items():
        if not any(fits(name, (pattern,)) for name in names):
            of = f" of query {query!r}" if query else ""
            yield f"{where}{of}: {pattern!r} matches no tool of the server; list them with mcprun tools"


def is_task_only(tool: JsonObject) -> bool:
    """Return whether a tool can't be called without a task (MCP 2025-11-25, "Tasks": `execution.taskSupport`)."""
    execution = tool.get("execution")
    return isinstance(execution, dict) and execution.get("taskSupport") == "required"


def changes(before: Iterable[JsonObject], after: Iterable[JsonObject]) -> str:
    """Summarise how two lists of tools differ: `removed: a, b; added: c; changed: d`; empty if they are equal."""
    old, new = ({tool["name"]: tool for tool in tools} for tools in (before, after))
    differences = {
        "removed": [name for name in old if name not in new],
        "added": [name for name in new if name not in old],
        "changed": [name for name in old if name in new and not json_equal(old[name], new[name])],
    }
    return "; ".join(f"{how}: {', '.join(sorted(names))}" for how, names in differences.items() if names)
