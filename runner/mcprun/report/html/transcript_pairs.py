"""Two transcripts of one query side by side: their outcomes and their aligned calls. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mcprun._util.json_value import JsonObject, json_same
from mcprun.analysis.diff.repeated_changes import without_repeated_text
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import CompareOptions, align, variable_pairs
from mcprun.analysis.diff.values import ABSENT
from mcprun.report.html.side_by_side import word_by_word
from mcprun.report.text import cut, one_line
from mcprun.tools.format import ValueFormatter

_BYTES = frozenset({"data", "blob"})
"""Keys of MCP content that hold base64 data."""

_SHOWN_BYTES = 200
"""Maximum number of characters of base64 data that are shown unchanged."""


_PROMPT = 4_000
"""Maximum number of characters shown of a prompt."""


def pair_json(base: JsonObject | None, head: JsonObject | None, scrubber: Scrubber) -> JsonObject:
    """Return two transcripts of a query side by side; `None` is a missing one.

    The result holds both `prompts`, the outcome of each side as `sides`, both final texts as `text`, and both sides'
    `calls`, aligned as the comparison aligns them.
    """
    before, after = _calls(base, scrubber), _calls(head, scrubber, base)
    return {
        "prompts": [_prompt(one) for one in (base, head)],
        "sides": [_side(one) for one in (base, head)],
        "text": word_by_word(*_texts(base, head)),
        "calls": [
            _pair(number, other, None if number is None else before[number], None if other is None else after[other])
            for number, other in align(before, after)
        ],
    }


def _calls(transcript: JsonObject | None, scrubber: Scrubber, base: JsonObject | None = None) -> list[JsonObject]:
    """Return the calls as they are compared: `tool`, `input` and `result`, without scrubbed and ignored parts."""
    return list(CompareOptions(scrubber=scrubber).comparable(transcript, base).calls) if transcript else []


def _texts(base: JsonObject | None, head: JsonObject | None) -> tuple[Any, Any]:
    """Return the final texts, in HEAD's with BASE's values of the variables; `ABSENT` for a missing transcript."""
    before, after = (ABSENT if one is None else str(one["text"]) for one in (base, head))
    if base and head and (pairs := variable_pairs(base, head)):
        after = pairs.as_base(before, after)
    return before, after


def _prompt(transcript: JsonObject | None) -> str | None:
    prompt = transcript.get("prompt") if transcript else None
    return cut(prompt, _PROMPT) if isinstance(prompt, str) else None


def _side(transcript: JsonObject | None) -> JsonObject | None:
    """Return a transcript's verdict, stop reason and causes."""
    if transcript is None:
        return None
    error = transcript["error"]
    causes = [f"{error['kind']}: {error['message']}"] if error else []
    failed = [check for check in transcript.get("checks") or [] if not check.get("passed")]
    causes += [f"{check.get('check')}: {check.get('message') or 'failed'}" for check in failed]
    return {"verdict": transcript["verdict"], "stop": transcript["stop"], "causes": causes}


def _pair(number: int | None, other: int | None, before: JsonObject | None, after: JsonObject | None) -> JsonObject:
    is_same = json_same(before, after)
    state = "added" if before is None else "removed" if after is None else "same" if is_same else "changed"
    return {
        "state": state,
        "numbers": [number, other],
        "titles": [_title(before), _title(after)],
        "fails": bool(after and after.get("is_error") is True),
        "input": word_by_word(_part(before, "input"), _part(after, "input")),
        "result": word_by_word(*without_repeated_text(_part(before, "result"), _part(after, "result"))),
    }


def _title(call: Mapping[str, Any] | None) -> str | None:
    if call is None:
        return None
    arguments = call.get("input")
    return one_line(
        f"{call.get('tool')}{ValueFormatter().input(arguments) if isinstance(arguments, dict) else ''}", 300
    )


def _part(call: Mapping[str, Any] | None, name: str) -> Any:
    """Return a call's input or result, or `ABSENT`. An error's result is returned as text."""
    value = ABSENT if call is None else call.get(name, ABSENT)
    value = _without_bytes(value)
    if name == "result" and call and call.get("is_error") is True:
        error = value
        return f"error: {error if isinstance(error, str) else json.dumps(error, ensure_ascii=False, indent=2)}"
    return value


def _without_bytes(value: Any) -> Any:
    """Replace base64 data of images, audio and resources by its hash, which is enough to see whether it differs."""
    if isinstance(value, dict):
        return {
            key: _named_bytes(item) if key in _BYTES and isinstance(item, str) else _without_bytes(item)
            for key, item in value.items()
        }
    return [_without_bytes(item) for item in value] if isinstance(value, list) else value


def _named_bytes(text: str) -> str:
    if len(text) <= _SHOWN_BYTES:
        return text
    return f"({len(text):,} characters, SHA-256 {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]})"
