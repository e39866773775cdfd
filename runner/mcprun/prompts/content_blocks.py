"""Check the content blocks of a prompts file before anything is sent. Pure.

The shapes are those of the Messages API (https://platform.claude.com/docs/en/api/messages). Blocks that the API would
refuse because of their data, such as an image that is too large, pass: a description is sent instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mcprun.limits import MAX_CACHE_MARKS

_TYPES = ("text", "image", "document")

_SOURCES: dict[str, dict[str, tuple[type, ...]]] = {
    "base64": {"data": (str,)},
    "url": {"url": (str,)},
    "file": {"file_id": (str,)},
    "text": {"data": (str,)},
    "content": {"content": (str, list)},
}
"""The types of a source, each with its required key and the types of that key's value."""

_OF_IMAGES = ("base64", "url", "file")


def check_blocks(blocks: list[Any]) -> None:
    """Raise `ValueError` for the first block whose shape the API refuses; the message has its number."""
    for number, block in enumerate(blocks):
        if not isinstance(block, dict) or block.get("type") not in _TYPES:
            raise ValueError(f"block {number} must be an object whose type is one of {', '.join(_TYPES)}")
        if block["type"] == "text" and not (isinstance(block.get("text"), str) and block["text"].strip()):
            raise ValueError(f"block {number} has no text")
        if block["type"] != "text" and (problem := _source_problem(block)):
            raise ValueError(f"block {number}: {problem}")


def marks_problem(prompts: Iterable[Any]) -> str | None:
    """Return what is wrong with the `cache_control` marks of a query, which share one request; None if nothing is."""
    marks = [mark for prompt in prompts for mark in _marks(prompt)]
    if len(marks) > MAX_CACHE_MARKS:
        return f"has {len(marks)} blocks with cache_control, but the API accepts at most {MAX_CACHE_MARKS}"
    lives = [mark.get("ttl") or "5m" for mark in marks]
    if "5m" in lives and "1h" in lives[lives.index("5m") :]:
        return "has cache_control with a ttl of 1h after one of 5m, which the API rejects: put the longer ones first"
    return None


def _source_problem(block: dict[str, Any]) -> str | None:
    kind, source = block["type"], block.get("source")
    allowed = _OF_IMAGES if kind == "image" else tuple(_SOURCES)
    if not isinstance(source, dict) or source.get("type") not in allowed:
        return f"{kind} needs a source whose type is one of {', '.join(allowed)}"
    for key, types in _SOURCES[source["type"]].items():
        if not isinstance(source.get(key), types) or not source[key]:
            return f"source needs {key}"
    return None


def _marks(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the marks of blocks in order, including those of blocks within a document."""
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict):
            source = block.get("source")
            yield from _marks(source.get("content") if isinstance(source, dict) else None)
            if isinstance(mark := block.get("cache_control"), dict):
                yield mark
