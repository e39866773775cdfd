"""Read the bodies of HTTP responses up to a bound, and extract their text as one line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import anyio
import httpx2
import mcp_types

from mcprun._util.nesting import parsed_leniently
from mcprun._util.surrogates import well_formed_bytes
from mcprun.client.transports.framing import error_text, flaw_of, read_value
from mcprun.client.transports.http_failure import HttpFailure, reason_of, retry_after_of

RequestId = int | str

MAX_BODY_CHARS = 1000
"""Maximum number of characters of a body that are shown to the model and written to the transcript."""

ERROR_BODY_SECONDS = 5.0
"""Time limit for the body of an error: a server that stalls there has already sent the status, which matters most."""

_SEARCHED_BYTES = 64 * 1024
"""Bytes of a body that are searched for text: an error page may begin with a long style sheet."""

_TEXT_KEYS = ("error", "title", "message", "detail", "error_description", "reason")
"""Keys that hold the text of an error in JSON: those of JSON-RPC, RFC 9457, RFC 6749 and common frameworks."""

_MAX_DEPTH = 4
"""Levels of a JSON body that are searched for text."""


@dataclass(frozen=True, slots=True)
class Body:
    """The data read from a body. `flaw` says why it is incomplete, and is empty if it is complete."""

    data: bytes
    flaw: str = ""


async def read_body(response: httpx2.Response, max_bytes: int, timeout_s: float | None) -> Body:
    """Read a body of up to `max_bytes`, and close the response. If `timeout_s` is None, the caller sets the deadline.

    A compressed body is not read: mcprun does not ask for one, and a megabyte may expand to gigabytes.
    """
    data = bytearray()
    flaw = "the response did not end in time"
    try:
        if is_compressed(response):
            coding = response.headers["content-encoding"][:20]
            return Body(b"", f"the response is compressed ({coding}), which mcprun does not accept")
        with anyio.move_on_after(timeout_s):
            async for part in response.aiter_raw():
                data += part
                if len(data) > max_bytes:
                    flaw = f"the response has more than the {max_bytes:,} bytes that --max-result-bytes allows"
                    break
            else:
                flaw = ""
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        flaw = f"the response was cut off after {len(data):,} bytes ({error or type(error).__name__})"
    finally:
        await response.aclose()
    return Body(bytes(data[:max_bytes]), flaw)


async def failure_of(response: httpx2.Response, max_bytes: int) -> HttpFailure:
    """Read the body of an error response, and return the failure that the response describes."""
    return failure_from(response, (await read_body(response, max_bytes, ERROR_BODY_SECONDS)).data)


def failure_from(response: httpx2.Response, data: bytes, number: RequestId | None = None) -> HttpFailure:
    """Return the failure that a response to request `number` describes, from its status and the data of its body."""
    error = rpc_error(data)
    shown = data if number is None else without_id(data, number)
    return HttpFailure(
        response.status_code,
        reason_of(response.status_code, response.reason_phrase),
        body_text=error_text(error) if error else body_text(shown, media_type(response)),
        is_json_rpc=error is not None,
        retry_after=retry_after_of(response.headers),
    )


def has_events(response: httpx2.Response) -> bool:
    """Return whether the body of a response is an event stream."""
    return media_type(response) == "text/event-stream"


def is_compressed(response: httpx2.Response) -> bool:
    """Return whether the body of a response is compressed."""
    return bool(response.headers.get("content-encoding", "identity").strip().lower() != "identity")


def media_type(response: httpx2.Response) -> str:
    """Return the media type in lower case and without parameters, or an empty string if the response has none."""
    return str(response.headers.get("content-type", "")).split(";")[0].strip().lower()


def without_id(data: bytes, number: RequestId) -> bytes:
    """Replace the `id` of a request by `null` in a body that is shown: it differs between runs."""
    escaped_id = re.escape(json.dumps(number).encode())
    return re.sub(rb'("id"\s*:\s*)%s(?=[\s,}])' % escaped_id, rb"\1null", data)


def rpc_error(data: bytes) -> mcp_types.ErrorData | None:
    """Parse a body as a JSON-RPC error, even a malformed one. None if it is something else."""
    try:
        value: Any = parsed_leniently(well_formed_bytes(data).decode(errors="replace"))
        if not isinstance(value, dict) or "error" not in value or not {"jsonrpc", "id"} & value.keys():
            return None
        message = None if "method" in value or flaw_of(value) else read_value(value)
    except (ValueError, RecursionError):
        return None
    return message.error if isinstance(message, mcp_types.JSONRPCError) else None


def body_text(data: bytes, kind: str) -> str:
    """Return the text of a body of media type `kind`, on one line and of at most `MAX_BODY_CHARS` characters.

    For binary data, return the media type and the size.
    """
    try:
        text = data[:_SEARCHED_BYTES].decode(errors="ignore" if len(data) > _SEARCHED_BYTES else "strict")
    except UnicodeDecodeError:
        if not (kind.startswith("text/") or "json" in kind or "xml" in kind or not kind):
            return f"{kind}, {len(data):,} bytes"
        text = data[:_SEARCHED_BYTES].decode(errors="replace")
    if "html" in kind or text.lstrip()[:14].lower().startswith(("<!doctype html", "<html")):
        text = _html_text(text)
    elif text.lstrip()[:1] in ("{", "["):
        text = _json_text(text)
    return " ".join(text.split())[:MAX_BODY_CHARS]


def _json_text(text: str) -> str:
    """Return the strings under the keys of a JSON body that hold text, or the body itself if there are none."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    found = list(dict.fromkeys(_strings(value, _MAX_DEPTH)))
    return ": ".join(found) or text


def _strings(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [text for item in value[:3] for text in _strings(item, depth - 1)] if depth else []
    if not isinstance(value, dict) or not depth:
        return []
    return [text for key in _TEXT_KEYS if key in value for text in _strings(value[key], depth - 1)]


class _Text(HTMLParser):
    """Collect the text of a page, without scripts, style sheets and templates."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: dict[str, None] = {}
        self._silent = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in ("script", "style", "template"):
            self._silent = self._silent or tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = ""

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.parts[data.strip()] = None  # a title and its heading are often the same


def _html_text(page: str) -> str:
    reader = _Text()
    try:
        reader.feed(page)
        reader.close()
    except (AssertionError, ValueError):  # html.parser gives up on some malformed declarations
        return re.sub(r"<[^>]*>", " ", page)
    return " ".join(reader.parts)
