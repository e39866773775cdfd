"""Split a server's stdout into lines of bounded size, and parse them as JSON-RPC messages.

Over stdio, each line holds one message (MCP, "Transports"). A response that is invalid or too long but names its
request becomes an error for that request, which then fails at once instead of timing out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mcp_types
from pydantic import ValidationError
from pydantic_core import from_json

from mcprun._util.json_text import finite, levels
from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import LongInteger
from mcprun._util.nesting import MAX_DEPTH, parsed_leniently
from mcprun._util.surrogates import well_formed_bytes

INVALID_ANSWER = -32097
"""mcprun's own JSON-RPC error code, in the range left to implementations: the server's response cannot be used."""

MALFORMED_ERROR = -32096
"""mcprun's own JSON-RPC error code: the server responded with an error that has no code."""

_MAX_DATA = 20_000
"""Maximum number of characters of an error's `data` in its text."""

_QUOTED_BYTES = 1000
"""Bytes of an invalid message that are quoted."""

KEPT_BYTES = 512
"""Bytes kept from each end of a line or event that is too long: enough for the keys before and after the result."""

_ENDLESS = 20
"""A line that exceeds the size limit this many times over is treated as endless, and the connection as unusable."""

_ID = rb'"id"\s*:\s*(\d{1,18}|"[^"\\]{0,100}")\s*'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_ID_FIRST = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb",\s*)?" + _ID + rb'(?:,\s*"(?:result|error|jsonrpc)"|\})')
_ID_LAST = re.compile(rb",\s*" + _ID + rb"(?:,\s*" + _VERSION + rb")?\}\s*\Z")
_RESULT_FIRST = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb',\s*)?"(?:result|error)"')
_NO_ID_FIRST = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb',\s*)?(?:"id"\s*:\s*null\s*,\s*)?"(?:result|error)"')

_JSON_POSITION = re.compile(r" at line \d+ column \d+\Z")

Message = mcp_types.JSONRPCMessage


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line over the size limit: its first and last bytes, and its full length in bytes."""

    head: bytes
    tail: bytes
    length: int


class LineSplitter:
    """Split a stream of bytes into lines. A line of more than `max_bytes` bytes becomes a `LongLine` once it ends.

    `pending` is the number of bytes read so far of the line that has not ended yet.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._tail = b""
        self.pending = 0

    @property
    def is_endless(self) -> bool:
        """Whether the line that has not ended yet is far too long to wait for its end."""
        return self.pending > _ENDLESS * self._max_bytes

    def feed(self, data: bytes) -> Iterator[bytes | LongLine]:
        """Add a chunk, and yield the lines that it completes, without their newlines."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._add(end)
            yield self._finish_line()
        self._add(rest)

    def _add(self, part: bytes) -> None:
        before, self.pending = self.pending, self.pending + len(part)
        self._tail = (self._tail + part[-KEPT_BYTES:])[-KEPT_BYTES:]
        if self.pending <= self._max_bytes:
            self._parts.append(part)
        elif before <= self._max_bytes:  # it has just become too long
            self._parts = [b"".join([*self._parts, part])[:KEPT_BYTES]]

    def _finish_line(self) -> bytes | LongLine:
        line = b"".join(self._parts)
        if self.pending > self._max_bytes:
            finished: bytes | LongLine = LongLine(line, self._tail, self.pending)
        else:
            finished = line
        self._parts, self._tail, self.pending = [], b"", 0
        return finished


def read_message(line: bytes | LongLine, max_bytes: int, replaced: Callable[[], None] = lambda: None) -> Message:
    """Parse one line as a JSON-RPC message.

    A response that cannot be parsed, or is a `LongLine`, becomes a JSON-RPC error for the same request
    (`INVALID_ANSWER`). The `id` of a response is None if the server sent none, or one that no request can have.

    Args:
        line: The line, without its newline.
        max_bytes: The size limit in bytes, which the error for a `LongLine` names.
        replaced: Called if half of a surrogate pair was replaced by U+FFFD.

    Raises `ValueError` if the line is not a message.
    """
    if isinstance(line, LongLine):
        return _invalid_answer(
            line.head, line.tail, f"the answer has {line.length:,} bytes, and --max-result-bytes allows {max_bytes:,}"
        )
    try:
        message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError as error:
        return _read_again(line, error, replaced)
    if isinstance(message, mcp_types.JSONRPCError):  # the pydantic model drops unknown members
        message.error = _full_error(from_json(line)["error"])
    return message


def read_value(value: Any) -> Message:
    """Parse JSON that is already decoded, as `read_message` does. Raises `ValueError` if it is not a message."""
    if not isinstance(value, dict):
        raise ValueError("the message can't be read: it is not a JSON object")
    if "method" not in value:
        return _read_response(value)
    try:
        return mcp_types.jsonrpc_message_adapter.validate_python(value, by_name=False)
    except ValidationError as error:
        raise ValueError(f"the message can't be read: {_first_problem(error)}") from None


def flaw_of(value: JsonObject) -> str:
    """Return why a response has neither a valid result nor an error, or an empty string if it has one."""
    if not {"result", "error"} & value.keys():
        return "it has neither a result nor an error"
    if _has_error(value):
        return ""
    if levels(value) > MAX_DEPTH:
        return f"it is nested more than {MAX_DEPTH} deep"
    if value.get("jsonrpc") != "2.0":
        return 'its "jsonrpc" is not "2.0"'
    return "" if isinstance(value.get("result"), dict) else "its result is not an object"


def _has_error(value: JsonObject) -> bool:
    error = value.get("error")
    return "error" in value and (error is not None or value.get("result") is None) and levels(error) <= MAX_DEPTH


def _read_response(value: JsonObject) -> Message:
    """Parse a response. A malformed error keeps its members; any other malformed response becomes an error.

    Raises `ValueError` for an object that has neither an id nor a result nor an error.
    """
    request_id = _request_id(value.get("id"))
    if request_id is None and not {"result", "error"} & value.keys():
        raise ValueError("the message can't be read: it has neither a method nor a result nor an error")
    if why := flaw_of(value):
        error = mcp_types.ErrorData(code=INVALID_ANSWER, message=f"the answer can't be read: {why}")
    elif _has_error(value):
        error = _full_error(value["error"])
    else:
        return mcp_types.JSONRPCResponse.model_construct(None, jsonrpc="2.0", id=request_id, result=value["result"])  # type: ignore[arg-type]  # no id: see `read_message`
    return mcp_types.JSONRPCError(jsonrpc="2.0", id=request_id, error=error)


def _request_id(sent: Any) -> str | int | None:
    """Return a response's id in the form of a request's: 1.0 is 1 (JSON-RPC 2.0, section 4). None for other types."""
    if isinstance(sent, float) and sent.is_integer() and not isinstance(sent, LongInteger):
        return int(sent)
    return sent if isinstance(sent, str | int) and not isinstance(sent, bool) else None


def _full_error(sent: Any) -> mcp_types.ErrorData:
    """Convert a server's `error` to a JSON-RPC error object: code and message if valid, anything else as `data`."""
    if not isinstance(sent, dict):
        message = sent if isinstance(sent, str) else "" if sent is None else _json(sent)
        return mcp_types.ErrorData(code=MALFORMED_ERROR, message=message)
    rest = dict(sent)
    code, message = MALFORMED_ERROR, ""
    if isinstance(sent.get("code"), int) and not isinstance(sent["code"], bool):
        code = rest.pop("code")
    if isinstance(sent.get("message"), str):
        message = rest.pop("message")
    data = rest["data"] if rest.keys() == {"data"} else rest or None
    return mcp_types.ErrorData(code=code, message=message, data=finite(data))


def unreadable(problem: ValueError, data: bytes) -> str:
    """Describe an invalid message from a server, and quote its beginning."""
    return f"an invalid message ({problem}): {data[:_QUOTED_BYTES].decode('utf-8', 'replace')}"


def error_text(error: mcp_types.ErrorData) -> str:
    """Return the message and the `data` of a JSON-RPC error as text for users and models; long data is truncated."""
    message = error.message.strip()
    if not message:
        message = "an error without a message" + (f" ({error.code})" if error.code != MALFORMED_ERROR else "")
    if error.data is None or error.data == "":
        return message
    data = error.data if isinstance(error.data, str) else _json(error.data)
    if data in message:
        return message
    if len(data) > _MAX_DATA:
        data = f"{data[:_MAX_DATA]}… ({len(data):,} characters)"
    return f"{message} (data: {data})"


def _json(value: Any) -> str:
    return json.dumps(finite(value), ensure_ascii=False, default=str)


def _read_again(line: bytes, error: ValidationError, replaced: Callable[[], None]) -> Message:
    """Parse a line leniently, with U+FFFD in place of invalid UTF-8 and halves of surrogate pairs."""
    try:
        repaired = well_formed_bytes(line)
        if repaired is not line and repaired != line:
            replaced()
        value = parsed_leniently(repaired.decode("utf-8", "replace"))
    except ValueError:
        return _invalid_answer(
            line[:KEPT_BYTES], line[-KEPT_BYTES:], f"the answer can't be read: {_first_problem(error)}"
        )
    return read_value(value)


def _first_problem(error: ValidationError) -> str:
    """Return the first error without its position, which depends on the digits of the `id` and differs between runs."""
    return _JSON_POSITION.sub("", str(error.errors(include_url=False, include_input=False)[0]["msg"]))


def _invalid_answer(head: bytes, tail: bytes, why: str) -> Message:
    """Return the error that replaces an invalid response. Its id is None if neither end of the line holds one.

    Raises `ValueError` if the line does not begin like a response.
    """
    id_match = _ID_FIRST.match(head) or (_ID_LAST.search(tail) if _RESULT_FIRST.match(head) else None)
    if not id_match and not _NO_ID_FIRST.match(head):
        raise ValueError(why.replace("answer", "message"))
    error = mcp_types.ErrorData(code=INVALID_ANSWER, message=why)
    return mcp_types.JSONRPCError(jsonrpc="2.0", id=json.loads(id_match[1]) if id_match else None, error=error)
