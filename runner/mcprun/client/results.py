"""Read the results of `tools/call`, `prompts/get` and `resources/read` block by block. Pure.

MCP 2025-11-25 and 2026-07-28, "Tool Result", "Getting a Prompt", "Reading Resources". Problems name the malformed block
by its own type and key. Well-formed blocks are kept, but a result with problems is still a failure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mcp_types
from pydantic import BaseModel

from mcprun._util.json_value import JsonObject, json_type
from mcprun._util.object_validation import checked, mismatch

_BLOCKS: dict[str, type[BaseModel]] = {
    "text": mcp_types.TextContent,
    "image": mcp_types.ImageContent,
    "audio": mcp_types.AudioContent,
    "resource_link": mcp_types.ResourceLink,
}
_PLAIN = {"type", "text"}

_OPTIONAL = frozenset({"annotations", "_meta", "title", "description", "icons", "size"})
"""Optional keys of a content block. If one is malformed, the block is used without it."""

_ROLES = ("user", "assistant")

_QUOTED = 500
"""Maximum characters of a malformed block, in JSON, to quote it. Never cut: half a secret would not be redacted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A result reduced to its well-formed parts, and the `problems` of the result that the server sent."""

    result: JsonObject
    problems: tuple[str, ...] = ()


def read_call(result: JsonObject, *, is_modern: bool) -> Reading:
    """Read a `CallToolResult`. `is_modern` means that the session uses MCP 2026-07-28 or later.

    A result with structured content needs no `content`. If there are problems, `isError` is set and a text block that
    lists them is appended to the content.
    """
    problems: list[str] = []
    content: list[JsonObject] = []
    structured = result.get("structuredContent")
    if "content" in result:
        content = _list(result["content"], "content", _block, problems)
    elif structured is None and not (is_modern and "structuredContent" in result):
        problems.append("content is missing")
    if not isinstance(structured, dict | None) and not is_modern:
        problems.append(mismatch("structuredContent", structured, "an object"))
    if not isinstance(result.get("isError"), bool | None):
        problems.append(mismatch("isError", result["isError"], "true or false"))
    if not isinstance(result.get("_meta"), dict | None):
        problems.append(mismatch("_meta", result["_meta"], "an object"))
    if not problems:
        return Reading({**result, "content": content})
    notice = {"type": "text", "text": f"The server sent an invalid result: {'; '.join(problems)}."}
    return Reading({**result, "content": [*content, notice], "isError": True}, tuple(problems))


def read_prompt(result: JsonObject) -> Reading:
    """Read a `GetPromptResult`. Malformed content is replaced with a text block that lists its problems.

    A message without a valid role is left out. If no message can be read, `messages` is empty.
    """
    read_count = 0

    def message(item: Any, at: str, problems: list[str]) -> JsonObject | None:
        nonlocal read_count
        before = len(problems)
        if not isinstance(item, dict):
            problems.append(mismatch(at, item, "an object"))
        elif item.get("role") not in _ROLES:
            role = item.get("role")
            violation = (
                f"is {json.dumps(role)}, not user or assistant" if isinstance(role, str) else f"is {json_type(role)}"
            )
            problems.append(f"{at}.role {violation if 'role' in item else 'is missing'}")
        else:
            if "content" not in item:
                problems.append(f"{at}.content is missing")
            block = _block(item["content"], f"{at}.content", problems) if "content" in item else None
            read_count += block is not None
            return {**item, "content": block or note(problems[before:])}
        return None

    reading = _read(result, "messages", message)
    return reading if read_count else Reading({**reading.result, "messages": []}, reading.problems)


def read_resource(result: JsonObject) -> Reading:
    """Read a `ReadResourceResult`. Malformed contents are left out."""
    return _read(result, "contents", _contents)


def note(problems: Sequence[str]) -> JsonObject:
    """Return a text block that lists problems for the model."""
    return {"type": "text", "text": f"[The server sent an invalid result: {'; '.join(problems)}]"}


def _read(result: JsonObject, key: str, read: Callable[[Any, str, list[str]], JsonObject | None]) -> Reading:
    if key not in result:
        return Reading({**result, key: []}, (f"{key} is missing",))
    problems: list[str] = []
    items = _list(result[key], key, read, problems)
    return Reading({**result, key: items}, tuple(problems))


def _list(
    value: Any, at: str, read: Callable[[Any, str, list[str]], JsonObject | None], problems: list[str]
) -> list[JsonObject]:
    """Return the items of a list as `read` returns them, without malformed ones. Append to `problems`."""
    if not isinstance(value, list):
        problems.append(mismatch(at, value, "a list"))
        return []
    items = (read(item, f"{at}[{index}]", problems) for index, item in enumerate(value))
    return [item for item in items if item is not None]


def _block(item: Any, at: str, problems: list[str]) -> JsonObject | None:
    """Return a content block; None if it is malformed. Append to `problems`."""
    if isinstance(item, dict) and item.keys() == _PLAIN and item["type"] == "text" and isinstance(item["text"], str):
        return item  # the common case: this saves 8 µs per call
    if not isinstance(item, dict):
        problems.append(mismatch(at, item, "an object"))
        return None
    block_type = item.get("type")
    if not isinstance(block_type, str):
        problem = mismatch(f"{at}.type", block_type, "text") if "type" in item else f"{at}.type is missing"
        problems.append(problem + _quote(item))
        return None
    at = f"{at} ({block_type})"
    if block_type == "resource":
        return _read_embedded(item, at, problems)
    if block_type not in _BLOCKS:
        problems.append(f"{at}: unknown type{_quote(item)}")
        return None
    return _check_block(_BLOCKS[block_type], item, f"{at}: ", problems)


def _read_embedded(item: JsonObject, at: str, problems: list[str]) -> JsonObject | None:
    if "resource" not in item:
        problems.append(f"{at}: resource is missing{_quote(item)}")
        return None
    if not isinstance(item["resource"], dict):
        problems.append(f"{at}: {mismatch('resource', item['resource'], 'an object')}")
        return None
    contents = _contents(item["resource"], f"{at}: resource", problems, ".")
    if contents is None:
        return None
    whole: JsonObject = {"type": "resource", "resource": {"uri": "", "text": ""}}  # valid contents, checked above
    rest = {key: value for key, value in item.items() if key not in whole}
    found = _check_block(mcp_types.EmbeddedResource, {**rest, **whole}, f"{at}: ", problems)
    return found and {**found, "resource": contents}


def _contents(item: Any, at: str, problems: list[str], joint: str = ": ") -> JsonObject | None:
    """Return the contents of a resource, text or blob; None if malformed. `joint` joins place and key in a problem."""
    if not isinstance(item, dict):
        problems.append(mismatch(at, item, "an object"))
        return None
    if "text" not in item and "blob" not in item:
        missing = "text or blob" if "uri" in item else "uri"
        problems.append(f"{at}{joint}{missing} is missing{_quote(item)}")
        return None
    model = mcp_types.TextResourceContents if isinstance(item.get("text"), str) else mcp_types.BlobResourceContents
    if "blob" not in item:
        model = mcp_types.TextResourceContents
    return _check_block(model, item, f"{at}{joint}", problems, frozenset({"_meta", "mimeType"}))


def _check_block(
    model: type[BaseModel], item: JsonObject, at: str, problems: list[str], optional: frozenset[str] = _OPTIONAL
) -> JsonObject | None:
    try:
        found, ignored = checked(model, item, optional)
    except ValueError as error:
        problems.append(f"{at}{error}{_quote(item)}")
        return None
    problems += [f"{at}{one}" for one in ignored]
    return found


def _quote(item: JsonObject) -> str:
    """Return a malformed block in JSON for a message; empty if it is longer than `_QUOTED`."""
    text = json.dumps(item, ensure_ascii=False)
    return f" in {text}" if len(text) <= _QUOTED else ""
