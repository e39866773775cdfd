"""From the bytes of a server's stdout to MCP messages: with a bound on what a line may hold, and never a dead end.

JSON-RPC over stdio is one message a line (MCP, "Transports"). What can't be read, or is too long, is an answer all
the same when it names the request that it is for: whoever waits is told at once, and not after a time-out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mcp_types
from pydantic import ValidationError

from mcprun.content import MOST_DEPTH, depth
from mcprun.surrogates import well_formed_bytes

INVALID_ANSWER = -32097
"""Our own JSON-RPC error code, in the range left to implementations: the server's answer can't be taken."""

_KEPT = 512
"""Bytes of both ends of a line that is too long: enough for the keys that stand around the result."""

_ID = rb'"id"\s*:\s*(\d{1,18}|"[^"\\]{0,100}")\s*'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_ID_FIRST = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb",\s*)?" + _ID + rb'(?:,\s*"(?:result|error|jsonrpc)"|\})')
_ID_LAST = re.compile(rb",\s*" + _ID + rb"(?:,\s*" + _VERSION + rb")?\}\s*\Z")
_RESULT_FIRST = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb',\s*)?"(?:result|error)"')

Message = mcp_types.JSONRPCMessage


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line that was not kept: its two ends, and how many bytes it had."""

    head: bytes
    tail: bytes
    length: int


class Lines:
    """Splits a stream of bytes into lines. One of more than `most` bytes is given as a `LongLine`, when it ends.

    `pending` is how many bytes the line has that has not ended yet.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._tail = b""
        self.pending = 0

    def feed(self, data: bytes) -> Iterator[bytes | LongLine]:
        """Take what came; give the lines that it ends."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._add(end)
            yield self._taken()
        self._add(rest)

    def _add(self, part: bytes) -> None:
        before, self.pending = self.pending, self.pending + len(part)
        self._tail = (self._tail + part[-_KEPT:])[-_KEPT:]
        if self.pending <= self._most:
            self._parts.append(part)
        elif before <= self._most:  # it has just become too long
            self._parts = [b"".join([*self._parts, part])[:_KEPT]]

    def _taken(self) -> bytes | LongLine:
        line = b"".join(self._parts)
        if self.pending > self._most:
            taken: bytes | LongLine = LongLine(line, self._tail, self.pending)
        else:
            taken = line
        self._parts, self._tail, self.pending = [], b"", 0
        return taken


def read_message(line: bytes | LongLine, most: int, replaced: Callable[[], None] = lambda: None) -> Message:
    """Read one line. `replaced` is called if it held half of a surrogate pair, in whose place U+FFFD stands.

    An answer that can't be taken becomes a JSON-RPC error for the same request (`INVALID_ANSWER`). Raises
    `ValueError` for a line that is no message at all.
    """
    if isinstance(line, LongLine):
        return _instead(
            line.head, line.tail, f"the answer has {line.length:,} bytes, and --max-result-bytes allows {most:,}"
        )
    try:
        return mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as error:
        return _read_again(line, error, replaced)


def _read_again(line: bytes, error: ValidationError, replaced: Callable[[], None]) -> Message:
    """Read a line leniently: broken UTF-8 and halves of surrogate pairs are no reason to lose an answer."""
    why = str(error.errors(include_url=False, include_input=False)[0]["msg"])
    try:
        repaired = well_formed_bytes(line)
        if repaired is not line and repaired != line:
            replaced()
        value: Any = json.loads(repaired.decode("utf-8", "replace"))
        if isinstance(value, dict) and not {"method", "result", "error"} & value.keys():
            why = "it has neither a result nor an error"
        elif depth(value) <= MOST_DEPTH:
            return mcp_types.jsonrpc_message_adapter.validate_python(value, by_name=False)
    except (ValueError, RecursionError):
        pass
    return _instead(line[:_KEPT], line[-_KEPT:], f"the answer can't be read: {why}")


def _instead(head: bytes, tail: bytes, why: str) -> Message:
    """Make the error that stands for an answer."""
    found = _ID_FIRST.match(head) or (_ID_LAST.search(tail) if _RESULT_FIRST.match(head) else None)
    if not found:
        raise ValueError(why.replace("answer", "message"))
    return mcp_types.JSONRPCError(
        jsonrpc="2.0", id=json.loads(found[1]), error=mcp_types.ErrorData(code=INVALID_ANSWER, message=why)
    )
