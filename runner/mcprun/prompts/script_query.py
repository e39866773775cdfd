"""Build a query from the calls that its script makes: its prompt, script and expected calls. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.checks.matchers import is_matcher

_PURPOSE = 200
"""Maximum characters of a title or description in a prompt."""

_SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)\. ")

_NAME = 200
"""Maximum characters of a tool's or argument's name in prompts."""


def single_call_query(tool: JsonObject, name: str, arguments: JsonObject) -> JsonObject:
    """Return a query, with `name` as its id, whose script calls a tool once."""
    return script_query(tool, {"id": name}, [{"tool": tool["name"], "input": arguments}])


def script_query(tool: JsonObject, query: JsonObject, calls: Sequence[JsonObject]) -> JsonObject:
    """Return a query with the id and the tags of `query`, whose script makes `calls`, one per turn, the tool's last."""
    built = {
        "id": query["id"],
        "prompt": _prompt(tool, calls),
        "script": [*({"calls": [call]} for call in calls), {"text": "Done."}],
        "expect": {"calls": [_expected_call(call) for call in calls]},
    }
    return built | ({"tags": query["tags"]} if "tags" in query else {})


def plain(text: str, length: int | None) -> str:
    """Return text on one line, with only printable characters, cut to `length`."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if length is None or len(line) <= length else line[: length - 1] + "…"


def as_json(value: Any) -> str:
    """Return a value as JSON, with only printable characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _expected_call(call: JsonObject) -> JsonObject:
    """Return the expected form of a call, without the arguments that come from a result."""
    arguments: JsonObject = call["input"]
    known = {key: value for key, value in arguments.items() if not is_reference(value)}
    if not known or is_matcher(arguments):
        return {"tool": call["tool"]}
    return {"tool": call["tool"], "input": {key: _expected(value) for key, value in known.items()}}


def is_reference(value: Any) -> bool:
    """Return whether a value of an input is taken from an earlier result."""
    return isinstance(value, dict) and "$from" in value


def _expected(value: Any) -> Any:
    """Return the `expect` form of a value, in which objects with a `$` key are not interpreted as matchers."""
    if isinstance(value, list):
        return [_expected(item) for item in value]
    if is_matcher(value):
        return {"$equals": value}
    return {key: _expected(item) for key, item in value.items()} if isinstance(value, dict) else value


def _prompt(tool: JsonObject, calls: Sequence[JsonObject]) -> str:
    """Return a prompt with the tool's purpose, by its own description, and the calls with their arguments."""
    uses = ", then ".join(_use(call) for call in calls)
    purpose = _purpose(tool)
    return f"{purpose}: use {uses}." if purpose else f"Use {uses}."


def _use(call: JsonObject) -> str:
    assignments = [f"{plain(key, _NAME)} = {_shown(value)}" for key, value in call["input"].items()]
    listed = " and ".join(filter(None, (", ".join(assignments[:-1]), *assignments[-1:])))
    return f"the tool {plain(call['tool'], _NAME)}{f' with {listed}' if listed else ''}"


def _shown(value: Any) -> str:
    if is_reference(value):
        key = str(value.get("path", "")).rpartition("/")[2]
        return f"the {plain(key, _NAME)} of the result" if key else "the one in the result"
    return plain(as_json(value), None)


def _purpose(tool: JsonObject) -> str:
    """Return the first sentence of a tool's description, or its title if there is none."""
    lines = str(tool.get("description") or "").strip().splitlines()
    sentence = _SENTENCE_END.split(plain(lines[0], None))[0] if lines else plain(str(tool.get("title") or ""), None)
    return plain(sentence, _PURPOSE).rstrip(" .:;,!?")
