"""Identify the content of a file that was named in place of another, for messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mcprun._util import json_text
from mcprun._util.json_value import json_type
from mcprun._util.special_files import kind_of

_MAX_BYTES = 16_000_000
"""Maximum size of a file that is read as a whole. Of a larger one, only the first line is read."""

_KEYS, _MAX_CHARS = 5, 40
"""Maximum number of keys that are named, and of characters of each and of the start of a text."""

TRANSCRIPTS_FILE = "a file of transcripts"

_MARKS: Mapping[str, tuple[frozenset[str], ...]] = {
    "the run.json of a run": (frozenset({"state", "prompts", "model"}), frozenset({"started", "arguments"})),
    "a snapshot of a server's tools": (frozenset({"protocol", "tools"}),),
    "the configuration of an MCP client": tuple(
        frozenset({key}) for key in ("mcpServers", "servers", "context_servers", "amp.mcpServers")
    ),
    TRANSCRIPTS_FILE: (frozenset({"id", "verdict", "calls"}),),
    "the trace of a run": (frozenset({"event", "at"}),),
    "the digests of a run's queries": (frozenset({"id", "digest"}),),
    "a prompts file": tuple(frozenset({key}) for key in ("prompt", "messages", "server_prompt", "script", "expect")),
}
"""What an object is, and the sets of keys that show it: one of the sets is enough. The first match counts."""


def identify(path: Path) -> str:
    """Return what a file contains, as a noun with its article: `a prompts file`, `an empty file`.

    Nothing is raised: a file that can't be read is `a file that can't be read`.
    """
    try:
        if kind := kind_of(path.stat().st_mode):
            return kind
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError:
        return "a file that can't be read"
    return identify_data(data)


def identify_data(data: bytes) -> str:
    """Return what the content of a file is, like `identify`. Data beyond the first 16 MB may be missing."""
    if not data.strip():
        return "an empty file"
    if b"\0" in data[:1000]:
        return "binary data"
    first = data.strip().partition(b"\n")[0]
    if len(data) <= _MAX_BYTES:
        with suppress(ValueError, RecursionError):
            return identify_value(json.loads(data, parse_int=float))
    with suppress(ValueError, RecursionError):
        if isinstance(value := json.loads(first, parse_int=float), dict):
            return known_as(value) or f"a JSONL file of objects with {_keys(value)}"
    if first[:1] in b"{[":
        return flaw(data[:_MAX_BYTES])
    text = first.decode("utf-8", "replace")
    return f"text that begins with {text[:_MAX_CHARS]!r}"


def identify_value(value: Any) -> str:
    """Return what a JSON value is: a file of mcprun or of an MCP client, or its type and keys."""
    if not isinstance(value, dict):
        return json_type(value)
    return known_as(value) or (f"an object with {_keys(value)}" if value else "an empty object")


def known_as(value: Mapping[str, Any]) -> str:
    """Return which file of mcprun or of an MCP client an object is from; empty if from none of them."""
    return next((name for name, marks in _MARKS.items() if any(mark <= value.keys() for mark in marks)), "")


def flaw(data: bytes) -> str:
    """Return what is wrong with data as JSON: `incomplete JSON (it ends at line 3, column 9)`; empty if nothing is."""
    try:
        json_text.loads(data, allow_nan=True)
    except json.JSONDecodeError as error:
        return json_flaw(error)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"invalid UTF-8 (byte {data[error.start]:#04x} in line {line:,})"
    except ValueError as error:
        return f"invalid JSON ({error})"
    return ""


def json_flaw(error: json.JSONDecodeError) -> str:
    """Return what is wrong with a text that could not be parsed, like `flaw`."""
    text = error.doc.rstrip()
    if not text:
        return "an empty file"
    if error.pos >= len(text) or error.msg.startswith("Unterminated"):
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n") - 1
        return f"incomplete JSON (it ends at {_place(line, column)})"
    return f"invalid JSON ({error.msg[:1].lower()}{error.msg[1:]} at {_place(error.lineno, error.colno)})"


def _place(line: int, column: int) -> str:
    return f"line {line:,}, column {column:,}"


def _keys(names: Iterable[str]) -> str:
    """Return the first keys of an object for a message: `the keys a, b, …`."""
    found = [name if re.fullmatch(r"[\w.-]{1,40}", name) else ascii(name)[:_MAX_CHARS] for name in names]
    more = ", …" if len(found) > _KEYS else ""
    return f"the {'key' if len(found) == 1 else 'keys'} {', '.join(found[:_KEYS])}{more}"
