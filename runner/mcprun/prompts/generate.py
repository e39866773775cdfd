"""Generate a first query for each tool of a server: a prompt, a script that calls the tool, and its `expect`. Pure.

Tools are in the wire form of MCP's `tools/list`. Their annotations are hints (MCP 2025-11-25, `ToolAnnotations`): a
tool that is marked as destructive gets a query only on request. A tool without annotations, like most, gets one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mcprun._util.json_value import JsonObject
from mcprun._util.name_patterns import fits
from mcprun.prompts.query import parse_query
from mcprun.prompts.script_query import as_json, plain, single_call_query
from mcprun.prompts.yaml_file import is_yaml
from mcprun.prompts.yaml_text import yaml_text
from mcprun.tools.json_schema.generate import generate_value
from mcprun.tools.toolset import TASK_ONLY, is_task_only

_NAME = 200
"""Maximum characters of a tool's name in ids."""

_REASON = 300
"""Maximum characters of a reason in a note."""

FIX_HINT = "write an input that works, then remove tool_errors"


@dataclass(frozen=True, slots=True)
class FirstPrompts:
    """The generated queries in the order of the tools, and the tools without one, with the reason (`left_out`).

    What the author should fix is in a query's `metadata`, under `todo`. `notes` maps ids of queries to what went wrong.
    The file does not contain the notes, since errors may name things that differ from machine to machine. `red` are the
    ids of the queries that are known not to pass. `tools` maps each query's id to its tool.
    """

    queries: tuple[JsonObject, ...]
    left_out: Mapping[str, str]
    notes: Mapping[str, str]
    red: frozenset[str] = frozenset()
    tools: Mapping[str, JsonObject] = field(default_factory=dict)

    @property
    def lines(self) -> bytes:
        """The prompts file: JSONL in UTF-8. A line that would hold non-printable characters is ASCII with escapes."""
        return "".join(f"{as_json(query)}\n" for query in self.queries).encode()

    def content(self, name: str) -> bytes:
        """Return the content of the prompts file by its name: YAML, or else JSONL."""
        return yaml_text(self.queries).encode() if is_yaml(name) else self.lines


def generate_prompts(
    tools: Iterable[JsonObject], patterns: Sequence[str] = (), *, is_destructive_wanted: bool = False
) -> FirstPrompts:
    """Generate a query for each tool whose name matches one of the patterns, for all tools if there is no pattern."""
    queries: dict[str, JsonObject] = {}
    left_out: dict[str, str] = {}
    notes: dict[str, str] = {}
    seen: set[str] = set()
    tools = list(tools)
    names = {tool["name"] for tool in tools}
    tools_by_id: dict[str, JsonObject] = {}
    for tool in tools:
        name = tool["name"]
        if name in seen or (patterns and not fits(name, patterns, names)):
            continue
        seen.add(name)
        if not name:
            left_out[name] = "it has no name"
        elif is_task_only(tool):
            left_out[name] = TASK_ONLY
        elif kind_of(tool) == "destructive" and not is_destructive_wanted:
            left_out[name] = "its annotations say that it is destructive; include it with --destructive"
        else:
            free = _free(readable_name(name), queries)
            queries[free], why = _query(tool, free)
            tools_by_id[free] = tool
            if why:
                notes[free] = why
    return FirstPrompts(tuple(queries.values()), left_out, notes, tools=tools_by_id)


def _query(tool: JsonObject, name: str) -> tuple[JsonObject, str]:
    """Return the query for a tool, with `name` as its id, and the reason if no input was found (else empty)."""
    kind, why = kind_of(tool), ""
    schema = tool.get("inputSchema")
    try:
        if not isinstance(schema, dict):
            raise ValueError("its input schema is not an object")
        query = single_call_query(tool, name, _example(tool["name"], str(tool.get("description") or ""), schema, kind))
        parse_query(query)
    except ValueError as error:  # a schema without an example, or a query that would mean something else
        why = str(error)
    if why:
        why = f"no valid input was found: {plain(why, _REASON)}"
        query = noted(single_call_query(tool, name, {}), f"{why}; {FIX_HINT}")
    return query | ({"tags": [kind]} if kind else {}), why


def _example(name: str, about: str, schema: JsonObject, kind: str) -> JsonObject:
    """Return an input for a tool. Raises `ValueError` if none is found."""
    found: JsonObject = generate_value(
        {**schema, "type": "object"}, tool=name, about=about, reads_only=kind == "read-only"
    )
    return found


def kind_of(tool: JsonObject) -> str:
    """Return the kind of a tool by its annotations: `read-only`, `writes`, `destructive`, or empty if unknown."""
    hints = tool.get("annotations")
    reads, destroys = (
        hints.get(key) if isinstance(hints, dict) else None for key in ("readOnlyHint", "destructiveHint")
    )
    if reads is True:  # destructiveHint is meaningful only for tools that are not read-only
        return "read-only"
    return "destructive" if destroys is True else "writes" if reads is False else ""


def noted(query: JsonObject, todo: str) -> JsonObject:
    """Return a query whose calls may return errors, with what the author should do."""
    return {**query, "expect": {**query["expect"], "tool_errors": "allow"}, "metadata": {"todo": todo}}


def _free(name: str, used: Mapping[str, JsonObject]) -> str:
    """Return a name that is not taken, with a number appended if necessary."""
    numbered = (f"{name}-{number}" for number in range(2, len(used) + 3))
    return name if name not in used else next(one for one in numbered if one not in used)


def readable_name(name: str) -> str:
    """Return a tool's name as an id: on one line, printable and bounded."""
    return plain(name, _NAME) or "tool"
