"""Read JSON Lines strictly and with a bound: report bad lines by their number, and read the rest."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import IO, Any

import jsonlines

from mcprun._util.json_text import AmbiguousError, loads
from mcprun.limits import MAX_LINE_BYTES


def values(source: IO[bytes], label: str, problems: list[str]) -> Iterator[tuple[int, bytes, Any]]:
    """Yield a file's lines, as `lines` does, with their JSON values. Blank lines are skipped, CRLF is accepted.

    Bad lines are skipped, and appended to `problems` as `LABEL:LINE: FIELD: PROBLEM`. FIELD is `line` if the problem is
    not in a single field.
    """
    line, raw = 0, b""

    def numbered() -> Iterator[bytes]:
        nonlocal line, raw
        for line, raw in lines(source, label, problems):  # noqa: B007  `values` yields it with the value
            yield raw

    reader = jsonlines.Reader(numbered(), loads=loads)
    while True:
        try:
            value = reader.read(allow_none=True, skip_empty=True)
        except EOFError:
            return
        except jsonlines.InvalidLineError as error:
            problems.append(f"{label}:{line}: {_bad_line(error)}")
        else:
            yield line, raw, value


def lines(source: IO[bytes], label: str, problems: list[str]) -> Iterator[tuple[int, bytes]]:
    """Yield a file's lines with their numbers, without a BOM.

    A line that is too long is appended to `problems`, and yielded as an empty line.
    """
    source.seek(0)
    line = 0
    while raw := source.readline(MAX_LINE_BYTES):
        line += 1
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            problems.append(f"{label}:{line}: line: has more than {MAX_LINE_BYTES:,} bytes")
            while (rest := source.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            raw = b"\n"
        yield line, raw if line > 1 else raw.removeprefix(codecs.BOM_UTF8)


def _bad_line(error: jsonlines.InvalidLineError) -> str:
    """Describe a bad line: the field, or `line`, and the problem."""
    match error.__cause__:
        case UnicodeDecodeError() as cause:
            return f"line: not UTF-8: byte {cause.object[cause.start]:#04x} at position {cause.start + 1}"
        case json.JSONDecodeError() as cause:
            return f"line: not JSON: {_syntax_error(cause)}"
        case AmbiguousError() as cause:
            return f"{cause.path or 'line'}: {cause.problem}"
        case cause:
            return f"line: not JSON: {cause}"


def _syntax_error(error: json.JSONDecodeError) -> str:
    """Describe a syntax error with its column. If the line is cut off, it is the one after the last character."""
    text = error.doc.rstrip()
    is_cut_off = error.pos >= len(text)
    if error.msg.startswith("Unterminated string") or (
        is_cut_off and error.msg.startswith("Invalid control character")
    ):
        return f"Unterminated string, at column {len(text) + 1}, where the line ends"
    if is_cut_off:
        return f"{error.msg}, at column {len(text) + 1}, where the line ends"
    return f"{error.msg.removesuffix(' at')}, at column {error.pos + 1}"
