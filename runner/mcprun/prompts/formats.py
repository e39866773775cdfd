"""Recognise files that are not prompts files, to name the formats that are."""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path
from typing import IO

from mcprun.prompts.yaml_file import is_yaml

FORMATS = "JSONL (.jsonl, one query per line) and YAML (.yaml or .yml, a list of queries)"
"""The formats of prompts files."""

_JSON_LINES = (".jsonl", ".ndjson", ".json")
"""File name extensions that may hold JSON Lines."""

_MAX_BYTES = 10_000_000
"""Larger files are not parsed as a whole."""

_YAML = re.compile(rb"---\s*\n|-\s+\S|[A-Za-z_][\w-]*:(?:\s|$)")


def format_problem(name: str, source: IO[bytes], *, has_queries: bool) -> str | None:
    """Return what a file with bad lines is instead of JSON Lines; None if it may be JSON Lines with mistakes.

    `name` is its path, or `-` for stdin. `has_queries` is whether any line is a valid query.
    """
    label, suffix = ("<stdin>", "") if name == "-" else (name, Path(name).suffix.lower())
    if is_yaml(name):
        return None
    source.seek(0)
    data = source.read(_MAX_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
    if problem := _json_problem(data):
        return f"{label}:1: line: {problem}"
    if not has_queries and (_YAML.match(data) or suffix not in ("", *_JSON_LINES)):
        return f"{label} is not a prompts file; the formats are {FORMATS}"
    return None


def _json_problem(data: bytes) -> str | None:
    """Return what is wrong with JSON whose first value takes more than one line; None if it does not."""
    if data[:1] not in (b"[", b"{") or b"\n" not in data.rstrip():
        return None
    text = data.decode(errors="replace").rstrip()
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if "\n" not in text[:end]:
        return None
    if isinstance(value, list):
        return "the file is a JSON list; write each query on a line of its own, as jq -c '.[]' does"
    return "a query spans several lines; write it on one, as jq -c . does"
