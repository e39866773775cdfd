"""One query's transcript as bounded JSON values, for the page's script to draw. Pure.

The script knows these kinds of items: `text` (`who`, `text`, `dim`), `image` (`who`, `mime`, `data` in base64), `turn`
(`turn`, `stop`, `read`, `written`), `call` (`call`, `title`, `brief`, `input`, `items`, `structured`, `is_error`,
`diverged`), `steps` (`title`, `steps`, `values`), `note` (`text`), and of routed queries `request` (`title`, `input`)
and `expected` (`text`). Each of `steps` is like a call, but has a `name` and `is_open` in place of `call` and
`diverged`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind
from mcprun.report.routed_turn import call_title, expected_text, ungraded_text
from mcprun.report.steps import NOT_ASKED, is_unmet, step_content, step_title
from mcprun.report.text import cut, one_line
from mcprun.runs.transcript import Call, RoutedCall, StepCall, Transcript, Turn
from mcprun.tools.format import ValueFormatter
from mcprun.tools.media import IMAGE_TYPES

_TEXT = 20_000
"""Maximum number of characters of one text, input or result in the page."""

_CONVERSATION = 1_000_000
"""Maximum number of characters of one conversation in the page; texts after them are replaced by their length."""

_IMAGE = 1_000_000
"""Maximum number of base64 characters of one image in the page: 750 kB of image data."""

_BRIEF = 120
"""Maximum number of characters of a result in the heading of a folded call."""

_PHASES = {"before": "Before the conversation", "after": "After the conversation", "cleanup": "Cleanup"}
"""The titles of the phases of steps."""

_TAGS = 100
"""Maximum number of tags shown of a query."""

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*+=*+\s*+")  # possessive, for linear time


def conversation_json(transcript: Transcript) -> JsonObject:
    """Return a transcript's conversation: `model`, `stop`, `attempts`, `error`, `checks`, and `items` in order.

    `asked_for` holds, of the query, what is not empty: `tags`, and `metadata` and `expect` as JSON text.
    """
    budget = _Budget()
    return {
        "model": transcript.model,
        "stop": transcript.stop,
        "attempts": transcript.attempts,
        "error": {"kind": str(transcript.error.kind), "message": budget.text(transcript.error.message)}
        if transcript.error
        else None,
        "checks": [
            [check.check, check.passed, budget.text(check.message or "")]
            for check in transcript.checks
            if not transcript.is_ungraded
        ],
        "asked_for": dict(_asked_for(transcript, budget)),
        "items": list(_items(transcript, budget)),
    }


def _asked_for(transcript: Transcript, budget: _Budget) -> Iterator[tuple[str, Any]]:
    if transcript.tags:
        yield "tags", [one_line(tag, _BRIEF) for tag in transcript.tags[:_TAGS]]
    if transcript.metadata:
        yield "metadata", budget.json(transcript.metadata)
    if transcript.expect:
        yield "expect", budget.json(transcript.expect)


class _Budget:
    """The space that is left for a conversation."""

    def __init__(self) -> None:
        self._left = _CONVERSATION

    def text(self, text: str) -> str:
        """Return a text, cut to the limit of one text and to the space that is left."""
        limit = min(_TEXT, self._left)
        self._left -= min(len(text), limit)
        return cut(text, limit)

    def json(self, value: Any) -> str:
        """Return a JSON value, indented and cut like a text."""
        return self.text(json.dumps(value, ensure_ascii=False, indent=2))

    def image(self, who: str, mime: Any, data: Any) -> JsonObject:
        """Return an image of a known type, valid base64 and limited size, else a text that describes it."""
        if not isinstance(mime, str) or not isinstance(data, str):
            return _text_item(who, f"[image, {mime}]")
        is_shown = mime in IMAGE_TYPES and _BASE64.fullmatch(data)
        if not is_shown or len(data) > min(_IMAGE, self._left):
            why = "too large for this page" if is_shown else "not shown"
            return _text_item(who, f"[image, {one_line(mime, 80)}, {len(data.rstrip('=')) * 3 // 4:,} bytes, {why}]")
        self._left -= len(data)
        return {"kind": "image", "who": who, "mime": mime, "data": "".join(data.split())}


def _items(transcript: Transcript, budget: _Budget) -> Iterator[JsonObject]:
    """Yield the steps before the conversation, the conversation, the steps after it, and the cleanup."""
    yield from _steps("before", transcript, budget)
    if transcript.is_ungraded:
        yield {"kind": "note", "text": f"{ungraded_text(transcript)}."}
    yield from _messages(transcript, budget)
    if transcript.routed is not None and (text := expected_text(transcript)):
        yield {"kind": "expected", "text": one_line(text, 450)}
    if transcript.error and transcript.error.kind is ErrorKind.SETUP:
        yield {"kind": "note", "text": f"The model was {NOT_ASKED}."}
    yield from _steps("after", transcript, budget)
    yield from _steps("cleanup", transcript, budget)


def _steps(phase: str, transcript: Transcript, budget: _Budget) -> Iterator[JsonObject]:
    """Yield the steps of a phase as one item, if there are any. Those before have the values of names with them."""
    steps = [
        {"name": one_line(step.name, _BRIEF), **_result(step_title(step), step, step_content(step), budget)}
        | {"is_open": is_unmet(transcript, step)}
        for step in transcript.steps
        if step.phase == phase
    ]
    values = transcript.vars.items() if phase == "before" else ()
    if steps or values:
        named = [[one_line(name, _BRIEF), budget.text(json.dumps(value, ensure_ascii=False))] for name, value in values]
        yield {"kind": "steps", "title": _PHASES[phase], "steps": steps, "values": named}


def _messages(transcript: Transcript, budget: _Budget) -> Iterator[JsonObject]:
    if transcript.system:
        yield _text_item("system", budget.text(transcript.system))
    calls = list(enumerate(transcript.calls))
    requests = iter(transcript.routed or ())
    turn = 0
    for at, message in enumerate(transcript.messages):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if at < transcript.begins:
            yield from (_block(message["role"], block, budget) for block in blocks)
        elif message["role"] == "assistant":
            turn_calls = [(number, call) for number, call in calls if call.turn == turn]
            yield from _turn(turn, transcript.turns, budget)
            if transcript.routed is None:
                yield from _assistant(blocks, turn_calls, budget)
            else:
                yield from _first_turn(blocks, requests, budget)
            turn += 1
        else:
            yield from (_block("user", block, budget) for block in blocks if block.get("type") != "tool_result")
    # A slim baseline keeps only the calls; a query that was not started has none.
    if len(transcript.messages) <= transcript.begins:
        yield from (_call(number, call, budget) for number, call in calls)
        yield from (_request(call, budget) for call in requests)
        if transcript.text:
            yield _text_item("model", budget.text(transcript.text))


def _turn(number: int, turns: list[Turn], budget: _Budget) -> Iterator[JsonObject]:
    """Yield the metadata of a turn, if the turn was completed."""
    if number < len(turns):
        usage = turns[number].usage
        yield {
            "kind": "turn",
            "turn": number,
            "stop": budget.text(turns[number].stop_reason),
            "read": usage.read if usage else None,
            "written": usage.output_tokens if usage else None,
        }


def _assistant(blocks: list[JsonObject], turn_calls: list[tuple[int, Call]], budget: _Budget) -> Iterator[JsonObject]:
    """Yield the model's text and calls of one turn, in the order of their blocks."""
    following = iter(turn_calls)
    for block in blocks:
        if block.get("type") != "tool_use":
            yield _block("model", block, budget)
        elif numbered_call := next(following, None):
            yield _call(*numbered_call, budget)
        else:
            title = f"{one_line(str(block.get('name')), 200)}{ValueFormatter().input(block.get('input') or {})}"
            yield _text_item("model", f"{title}: no result")


def _first_turn(blocks: list[JsonObject], requests: Iterator[RoutedCall], budget: _Budget) -> Iterator[JsonObject]:
    """Yield the model's text, and the calls that it asks for, in the order of their blocks."""
    for block in blocks:
        if block.get("type") != "tool_use":
            yield _block("model", block, budget)
        elif call := next(requests, None):
            yield _request(call, budget)


def _request(call: RoutedCall, budget: _Budget) -> JsonObject:
    """Return a call that was only asked for."""
    return {"kind": "request", "title": one_line(call_title(call), 450), "input": budget.json(call.input)}


def _call(number: int, call: Call, budget: _Budget) -> JsonObject:
    title = f"{one_line(call.tool, 200)}{one_line(ValueFormatter().input(call.input), 250)}"
    return {"kind": "call", "call": number, "diverged": call.diverged, **_result(title, call, call.content, budget)}


def _result(title: str, call: Call | StepCall, content: list[JsonObject], budget: _Budget) -> JsonObject:
    """Return what a call or a step asked for, and what it returned. A read has no input."""
    items = [item for one in content if (item := _content(one, budget)).get("text") != ""]
    summary = " ".join(item.get("text") or f"[{item.get('mime')}]" for item in items)
    if not summary and call.structured is not None:
        summary = json.dumps(call.structured, ensure_ascii=False)
    return {
        "title": one_line(title, 450),
        "brief": one_line(summary, _BRIEF) or "(empty)",
        "input": None if call.tool is None else budget.json(call.input),
        "items": items,
        "structured": None if call.structured is None else budget.json(call.structured),
        "is_error": call.is_error,
    }


def _block(who: str, block: JsonObject, budget: _Budget) -> JsonObject:
    """Return an item for a content block of the Messages API."""
    match block:
        case {"type": "text", "text": str(text)}:
            return _text_item(who, budget.text(text))
        case {"type": "thinking", "thinking": str(text)}:
            return {**_text_item(who, budget.text(text) or "(thinking)"), "dim": True}
        case {"type": "image", "source": {"type": "base64", "media_type": mime, "data": data}}:
            return budget.image(who, mime, data)
    return _text_item(who, budget.text(f"[{block.get('type')}]"))


def _content(item: JsonObject, budget: _Budget) -> JsonObject:
    """Return an item for an MCP content block."""
    match item:
        case {"type": "text", "text": str(text)}:
            return _text_item("", budget.text(text))
        case {"type": "image", "data": data, "mimeType": mime}:
            return budget.image("", mime, data)
        case {"type": "resource", "resource": {"uri": uri, "text": str(text)}}:
            return _text_item("", budget.text(f"[resource {uri}]\n{text}"))
        case {"type": "resource", "resource": {"uri": uri}}:
            return _text_item("", budget.text(f"[resource {uri}, binary]"))
        case {"type": "resource_link", "uri": uri}:
            return _text_item("", budget.text(f"[resource link {uri}]"))
    return _text_item(
        "", budget.text(f"[{item.get('type')}{', ' + str(item['mimeType']) if 'mimeType' in item else ''}]")
    )


def _text_item(who: str, text: str) -> JsonObject:
    return {"kind": "text", "who": who, "text": text}
