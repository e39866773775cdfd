"""A server's tools, as the Messages API takes them, and the way back. Pure.

The API refuses a whole request for one tool that it does not like, naming only an index. So names outside its alphabet
get stand-ins that are mapped back when the model calls; schemas are made to fit (`tools/api_schema.py`); a tool that
can't be sent is left out, and a warning names it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from mcprun._util.json_value import JsonObject, json_equal
from mcprun._util.name_patterns import fits
from mcprun.runs.records import Malformed
from mcprun.tools.api_schema import InputSchema, check_output, fit_to_api, stand_in

_NAME_LENGTH = 128
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")

TASK_ONLY = "it can only be run as a task, which mcprun does not do"


@dataclass(frozen=True, slots=True)
class Note:
    """What could not be sent to the API of a tool as the server lists it, and what was done about it."""

    tool: str
    rule: Literal["malformed", "ignored", "repeated", "left_out", "task_only", "renamed", "rewritten"]
    words: str

    def __str__(self) -> str:
        mark = ": " if self.rule in ("ignored", "renamed", "rewritten") else " "
        return f"tool {self.tool!r}{mark}{self.words}"


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Which tools may be used: those that fit an `allow` pattern (all, when there is none) and no `deny` pattern.

    With `read_only`, only those whose server says that they change nothing (MCP, `readOnlyHint`).
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    read_only: bool = False

    def __bool__(self) -> bool:
        return bool(self.allow or self.deny or self.read_only)

    def permits(self, tool: JsonObject, names: Container[str] = ()) -> bool:
        """Return whether a tool, as the server listed it, may be used; `names` are those of all its tools."""
        if self.read_only and (tool.get("annotations") or {}).get("readOnlyHint") is not True:
            return False
        name = tool["name"]
        return (not self.allow or fits(name, self.allow, names)) and not fits(name, self.deny, names)


@dataclass(frozen=True, slots=True)
class ToolSet:
    """The tools of one session.

    `definitions` is what the API is sent, sorted by the server's own names; `listed` holds the server's
    definitions as it sent them; `notes` tell what was renamed, rewritten or left out. `names` maps what the
    API is sent to the server's names, `schemas` the server's names to their input schemas.
    """

    definitions: tuple[JsonObject, ...] = ()
    listed: tuple[JsonObject, ...] = ()
    notes: tuple[Note, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    schemas: Mapping[str, InputSchema] = field(default_factory=dict)

    @classmethod
    def of(cls, listed: Iterable[JsonObject], malformed: Iterable[Malformed] = ()) -> Self:
        """Map the tools of `tools/list` (objects of the wire: `name`, `description`, `inputSchema`).

        `malformed` lists the other entries of that list.
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
                notes.append(Note(name, "repeated", "is listed twice; the second one is left out"))
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
                sent = stand_in(name, _NAME_LENGTH, "-")
                notes.append(Note(name, "renamed", f"the API is sent the name {sent!r}"))
            notes += [Note(name, "rewritten", note) for note in schema.notes]
            names[sent], schemas[name] = name, schema
            definition: JsonObject = {"name": sent, "input_schema": schema.api}
            if tool.get("description"):
                definition["description"] = tool["description"]
            definitions.append(definition)
        return cls(tuple(definitions), tuple(tools), tuple(notes), names, schemas)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes, in words."""
        return tuple(map(str, self.notes))

    def lists(self, name: str) -> bool:
        """Tell whether the server lists a tool of this name, whatever may be used of it."""
        return name in self.schemas or any(tool["name"] == name for tool in self.listed)

    def only(self, permit: ToolFilter) -> Self:
        """Keep the tools that may be used."""
        if not permit:
            return self
        first = {tool["name"]: tool for tool in reversed(self.listed)}  # of those that are listed twice
        kept = {sent: name for sent, name in self.names.items() if permit.permits(first[name], first)}
        definitions = tuple(one for one in self.definitions if one["name"] in kept)
        return replace(self, definitions=definitions, names=kept)

    def from_api(self, name: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Map a model's call to the server's own name and keys. A name that nobody knows stays as it is."""
        tool = self.names.get(name, name)
        return tool, self.schemas[tool].from_api(arguments) if tool in self.schemas else arguments

    def to_api(self, tool: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Map a call in the server's words to what a model would say; the way back of `from_api`.

        A tool that the server does not list has no stand-in: no model could have been told of it.
        """
        sent = next((sent for sent, name in self.names.items() if name == tool), tool)
        return sent, self.schemas[tool].to_api(arguments) if tool in self.schemas else arguments


def unmatched(
    permit: ToolFilter, patterns: Mapping[tuple[str, str], str], tools: Iterable[JsonObject]
) -> Iterator[str]:
    """Yield a warning for each pattern that fits no tool of the server and therefore has no effect.

    `patterns` maps the key of a query and a pattern to the id of the first query that has it.
    """
    names = [tool["name"] for tool in tools]
    flags = [*(("--allow-tool", one) for one in permit.allow), *(("--deny-tool", one) for one in permit.deny)]
    given = {**dict.fromkeys(flags, ""), **patterns}
    for (where, pattern), query in given.items():
        if not any(fits(name, (pattern,)) for name in names):
            of = f" of query {query!r}" if query else ""
            yield f"{where}{of}: {pattern!r} fits no tool of the server; mcprun tools lists them"


def is_task_only(tool: JsonObject) -> bool:
    """Tell whether a plain call is of no use (MCP 2025-11-25, "Tasks": `execution.taskSupport`)."""
    execution = tool.get("execution")
    return isinstance(execution, dict) and execution.get("taskSupport") == "required"


def changes(before: Iterable[JsonObject], after: Iterable[JsonObject]) -> str:
    """Say how one list of tools differs from another: `gone: a, b; new: c; changed: d`; empty when it does not."""
    old, new = ({tool["name"]: tool for tool in tools} for tools in (before, after))
    told = {
        "gone": [name for name in old if name not in new],
        "new": [name for name in new if name not in old],
        "changed": [name for name in old if name in new and not json_equal(old[name], new[name])],
    }
    return "; ".join(f"{how}: {', '.join(sorted(names))}" for how, names in told.items() if names)
