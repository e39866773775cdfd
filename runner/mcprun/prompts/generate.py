"""A first query for each tool of a server: a prompt, a script that calls it, the expectation that it is called. Pure.

Tools as `tools/list` of MCP has them. Their annotations are hints (MCP 2025-11-25, `ToolAnnotations`): what says that
it is destructive gets a query only when that is asked for; what says nothing, as most tools do, gets one.
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
from mcprun.runs.records import Call, Transcript
from mcprun.tools.json_schema.generate import generate_value
from mcprun.tools.results import result_text
from mcprun.tools.toolset import TASK_ONLY, is_task_only

_PURPOSE = 200
"""Characters of a title or a description that a prompt holds."""

_NAME = 200
"""Characters of a tool's or an argument's name that ids and prompts hold."""

_REASON = 300
"""Characters of a reason that is noted."""

_MEND = "write an input that works, then take tool_errors out"


@dataclass(frozen=True, slots=True)
class FirstPrompts:
    """Queries, in the order of the tools' names, and the tools that have none, with the reason (`left_out`).

    What an author should mend stands in a query's `metadata`, under `todo`; `notes` say what was seen of it, by the
    ids of the queries. That is not for the file, since errors name what differs from machine to machine. `red` are the
    ids of those that are known not to pass.
    """

    queries: tuple[JsonObject, ...]
    left_out: Mapping[str, str]
    notes: Mapping[str, str]
    red: frozenset[str] = frozenset()

    @property
    def lines(self) -> bytes:
        """The prompts file: JSON, a query a line, in UTF-8. A line that would not be all printable is ASCII."""
        return "".join(f"{_json(query)}\n" for query in self.queries).encode()


def generate_prompts(
    tools: Iterable[JsonObject], patterns: Sequence[str] = (), *, is_destructive_wanted: bool = False
) -> FirstPrompts:
    """Make a query for each tool whose name fits one of the patterns; no pattern fits all."""
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
            left_out[name] = "it says that it is destructive; --destructive takes it in"
        else:
            free = _free(_plain(name, _NAME) or "tool", queries)
            queries[free], why = _query(tool, free)
            if why:
                notes[free] = why
    return FirstPrompts(tuple(queries.values()), left_out, notes)


def mark_failures(first: FirstPrompts, transcripts: Iterable[Transcript]) -> FirstPrompts:
    """Note in the queries what came of them: one whose call came back as an error permits that from now on.

    Queries may have been run several times; what went wrong once counts.
    """
    queries = {query["id"]: query for query in first.queries}
    notes, red = dict(first.notes), set()
    for transcript in transcripts:
        query = queries[transcript.id]
        wrong = next((call for call in transcript.calls if call.is_error), None)
        if wrong and transcript.error is None:
            notes.setdefault(query["id"], f"came back as an error: {_plain(_words(wrong), _REASON)}")
            if "metadata" not in query:
                queries[transcript.id] = _noted(query, f"the call came back as an error: {_MEND}")
        elif transcript.cause:
            notes[query["id"]] = f"did not pass: {_plain(transcript.cause, _REASON)}"
            queries[transcript.id] = {**query, "metadata": {"todo": "find out why this query does not pass"}}
            red.add(transcript.id)
    return FirstPrompts(tuple(queries.values()), first.left_out, notes, frozenset(red))


def _query(tool: JsonObject, name: str) -> tuple[JsonObject, str]:
    """Make the query of a tool, with `name` for its id; and say why where no input was found."""
    kind, why = _kind(tool), ""
    schema = tool.get("inputSchema")
    try:
        if not isinstance(schema, dict):
            raise ValueError("its input schema is no object")
        query = _with_input(tool, name, _example(tool["name"], schema, kind))
        parse_query(query)
    except ValueError as error:  # a schema without an example, or a query that would mean something else
        why = str(error)
    if why:
        why = f"no input was found: {_plain(why, _REASON)}"
        query = _noted(_with_input(tool, name, {}), f"{why}; {_MEND}")
    return query | ({"tags": [kind]} if kind else {}), why


def _example(name: str, schema: JsonObject, kind: str) -> JsonObject:
    """Make an input. Raises `ValueError` where none is found."""
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
    """Write a value such that it is expected as it is: keys with a dollar would make it a matcher."""
    if isinstance(value, list):
        return [_expected(item) for item in value]
    if is_matcher(value):
        return {"$equals": value}
    return {key: _expected(item) for key, item in value.items()} if isinstance(value, dict) else value


def _prompt(tool: JsonObject, arguments: JsonObject) -> str:
    """Say what the tool is for, in its own words, and with what to use it."""
    given = [f"{_plain(key, _NAME)} = {_plain(_json(value), None)}" for key, value in arguments.items()]
    listed = " and ".join(filter(None, (", ".join(given[:-1]), *given[-1:])))
    use = f"se the tool {_plain(tool['name'], _NAME)}{f' with {listed}' if listed else ''}."
    purpose = _purpose(tool)
    return f"{purpose}: u{use}" if purpose else f"U{use}"


def _purpose(tool: JsonObject) -> str:
    """Give the first sentence of a description that has one, else the title."""
    lines = str(tool.get("description") or "").strip().splitlines()
    sentence = _plain(lines[0], None).split(". ")[0] if lines else _plain(str(tool.get("title") or ""), None)
    return _plain(sentence, _PURPOSE).rstrip(" .:;,!?")


def _kind(tool: JsonObject) -> str:
    """Say what the annotations say: `read-only`, `writes`, `destructive`; nothing where they say nothing."""
    hints = tool.get("annotations")
    reads, destroys = (
        hints.get(key) if isinstance(hints, dict) else None for key in ("readOnlyHint", "destructiveHint")
    )
    if reads is True:  # between writes, the other means nothing
        return "read-only"
    return "destructive" if destroys is True else "writes" if reads is False else ""


def _noted(query: JsonObject, todo: str) -> JsonObject:
    return {**query, "expect": {**query["expect"], "tool_errors": "allow"}, "metadata": {"todo": todo}}


def _words(call: Call) -> str:
    return result_text(call.content) or _json(call.structured)


def _free(name: str, taken: Mapping[str, JsonObject]) -> str:
    """Number a name that is taken."""
    numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def _plain(text: str, length: int | None) -> str:
    """Put text on one line of printable characters, cut to a length."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if length is None or len(line) <= length else line[: length - 1] + "…"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
