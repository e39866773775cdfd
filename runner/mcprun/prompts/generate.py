"""Generate a first query for each tool of a server: a prompt, a script that calls the tool, and its `expect`. Pure.

Tools are in the wire form of MCP's `tools/list`. Their annotations are hints (MCP 2025-11-25, `ToolAnnotations`): a
tool that is marked as destructive gets a query only on request. A tool without annotations, like most, gets one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun._util.name_patterns import fits
from mcprun.checks.matchers import is_matcher
from mcprun.prompts.query import parse_query
from mcprun.runs.transcript import Call, Transcript
from mcprun.tools.json_schema.generate import generate_value
from mcprun.tools.results import result_text
from mcprun.tools.toolset import TASK_ONLY, is_task_only

_PURPOSE = 200
"""Maximum characters of a title or description in a prompt."""

_NAME = 200
"""Maximum characters of a tool's or argument's name in ids and prompts."""

_REASON = 300
"""Maximum characters of a reason in a note."""

_FIX_HINT = "write an input that works, then remove tool_errors"


@dataclass(frozen=True, slots=True)
class FirstPrompts:
    """The generated queries in the order of the tools, and the tools without one, with the reason (`left_out`).

    What the author should fix is in a query's `metadata`, under `todo`. `notes` maps ids of queries to what went wrong.
    The file does not contain the notes, since errors may name things that differ from machine to machine. `red` are the
    ids of the queries that are known not to pass.
    """

    queries: tuple[JsonObject, ...]
    left_out: Mapping[str, str]
    notes: Mapping[str, str]
    red: frozenset[str] = frozenset()

    @property
    def lines(self) -> bytes:
        """The prompts file: JSONL in UTF-8. A line that would hold non-printable characters is ASCII with escapes."""
        return "".join(f"{_json(query)}\n" for query in self.queries).encode()


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
    for tool in tools:
        name = tool["name"]
        if name in seen or (patterns and not fits(name, patterns, names)):
            continue
        seen.add(name)
        if not name:
            left_out[name] = "it has no name"
        elif is_task_only(tool):
            left_out[name] = TASK_ONLY
        elif _kind(tool) == "destructive" and not is_destructive_wanted:
            left_out[name] = "its annotations say that it is destructive; include it with --destructive"
        else:
            free = _free(_plain(name, _NAME) or "tool", queries)
            queries[free], why = _query(tool, free)
            if why:
                notes[free] = why
    return FirstPrompts(tuple(queries.values()), left_out, notes)


def mark_failures(first: FirstPrompts, transcripts: Iterable[Transcript]) -> FirstPrompts:
    """Update the queries after a run: one whose call returned an error gets `tool_errors: allow`.

    Queries may have been run several times; a single failure counts.
    """
    queries = {query["id"]: query for query in first.queries}
    notes, red = dict(first.notes), set()
    for transcript in transcripts:
        query = queries[transcript.id]
        wrong = next((call for call in transcript.calls if call.is_error), None)
        if wrong and transcript.error is None:
            notes.setdefault(query["id"], f"returned an error: {_plain(_describe(wrong), _REASON)}")
            if "metadata" not in query:
                queries[transcript.id] = _noted(query, f"the call returned an error: {_FIX_HINT}")
        elif transcript.cause:
            notes[query["id"]] = f"did not pass: {_plain(transcript.cause, _REASON)}"
            queries[transcript.id] = {**query, "metadata": {"todo": "find out why this query does not pass"}}
            red.add(transcript.id)
    return FirstPrompts(tuple(queries.values()), first.left_out, notes, frozenset(red))


def _query(tool: JsonObject, name: str) -> tuple[JsonObject, str]:
    """Return the query for a tool, with `name` as its id, and the reason if no input was found (else empty)."""
    kind, why = _kind(tool), ""
    schema = tool.get("inputSchema")
    try:
        if not isinstance(schema, dict):
            raise ValueError("its input schema is not an object")
        query = _with_input(tool, name, _example(tool["name"], schema, kind))
        parse_query(query)
    except ValueError as error:  # a schema without an example, or a query that would mean something else
        why = str(error)
    if why:
        why = f"no valid input was found: {_plain(why, _REASON)}"
        query = _noted(_with_input(tool, name, {}), f"{why}; {_FIX_HINT}")
    return query | ({"tags": [kind]} if kind else {}), why


def _example(name: str, schema: JsonObject, kind: str) -> JsonObject:
    """Return an input for a tool. Raises `ValueError` if none is found."""
    found: JsonObject = generate_value({**schema, "type": "object"}, tool=name, reads_only=kind == "read-only")
    return found


def _with_input(tool: JsonObject, name: str, arguments: JsonObject) -> JsonObject:
    expected: JsonObject = {"tool": tool["name"]}
    if arguments and not is_matcher(arguments):
        expected["input"] = {key: _expected(value) for key, value in arguments.items()}
    return {
        "id": name,
        "prompt": _prompt(tool, arguments),
        "script": [{"calls": [{"tool": tool["name"], "input": arguments}]}, {"text": "Done."}],
        "expect": {"calls": [expected]},
    }


def _expected(value: Any) -> Any:
    """Return the `expect` form of a value, in which objects with a `$` key are not interpreted as matchers."""
    if isinstance(value, list):
        return [_expected(item) for item in value]
    if is_matcher(value):
        return {"$equals": value}
    return {key: _expected(item) for key, item in value.items()} if isinstance(value, dict) else value


def _prompt(tool: JsonObject, arguments: JsonObject) -> str:
    """Return a prompt with the tool's purpose, by its own description, and its arguments."""
    assignments = [f"{_plain(key, _NAME)} = {_plain(_json(value), None)}" for key, value in arguments.items()]
    listed = " and ".join(filter(None, (", ".join(assignments[:-1]), *assignments[-1:])))
    use = f"se the tool {_plain(tool['name'], _NAME)}{f' with {listed}' if listed else ''}."
    purpose = _purpose(tool)
    return f"{purpose}: u{use}" if purpose else f"U{use}"


def _purpose(tool: JsonObject) -> str:
    """Return the first sentence of a tool's description, or its title if there is none."""
    lines = str(tool.get("description") or "").strip().splitlines()
    sentence = _plain(lines[0], None).split(". ")[0] if lines else _plain(str(tool.get("title") or ""), None)
    return _plain(sentence, _PURPOSE).rstrip(" .:;,!?")


def _kind(tool: JsonObject) -> str:
    """Return the kind of a tool by its annotations: `read-only`, `writes`, `destructive`, or empty if unknown."""
    hints = tool.get("annotations")
    reads, destroys = (
        hints.get(key) if isinstance(hints, dict) else None for key in ("readOnlyHint", "destructiveHint")
    )
    if reads is True:  # destructiveHint is meaningful only for tools that are not read-only
        return "read-only"
    return "destructive" if destroys is True else "writes" if reads is False else ""


def _noted(query: JsonObject, todo: str) -> JsonObject:
    return {**query, "expect": {**query["expect"], "tool_errors": "allow"}, "metadata": {"todo": todo}}


def _describe(call: Call) -> str:
    return result_text(call.content) or _json(call.structured)


def _free(name: str, used: Mapping[str, JsonObject]) -> str:
    """Return a name that is not taken, with a number appended if necessary."""
    numbered = (f"{name}-{number}" for number in range(2, len(used) + 3))
    return name if name not in used else next(one for one in numbered if one not in used)


def _plain(text: str, length: int | None) -> str:
    """Return text on one line, with only printable characters, cut to `length`."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if length is None or len(line) <= length else line[: length - 1] + "…"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def query_for_call(tool: JsonObject, name: str, arguments: JsonObject) -> JsonObject:
    """Return the query, with `name` as its id, that calls a tool in wire form with an input."""
    return _with_input(tool, name, arguments)


def readable_name(name: str) -> str:
    """Return a tool's name as an id: on one line, printable and bounded."""
    return _plain(name, _NAME) or "tool"
