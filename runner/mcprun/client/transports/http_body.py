"""Bodies of HTTP responses: read up to a bound, and turned into one line of readable words."""

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

MAX_WORDS = 1000
"""Characters of a body that are shown to the model and written to the transcript."""

WORDS_SECONDS = 5.0
"""How long the body of an error is read: a server that stalls there has sent the most important thing, its status."""

_WORDS_BYTES = 64 * 1024
"""Bytes of a body that are searched for words: an error page may begin with a long style sheet."""

_KEYS = ("error", "title", "message", "detail", "error_description", "reason")
"""Where JSON bodies keep their words: JSON-RPC, RFC 9457, RFC 6749, and common frameworks."""

_DEPTH = 4
"""Levels of a JSON body that are searched for words."""


@dataclass(frozen=True, slots=True)
class Body:
    """What was read of a body. `flaw` says why it is not whole; it is empty if it is."""

    data: bytes
    flaw: str = ""


async def read_body(response: httpx2.Response, max_bytes: int, timeout_s: float | None) -> Body:
    """Read a body, and close the response. None as `timeout_s` leaves the time to the caller's deadline.

    A compressed body is not read: a megabyte may unfold to gigabytes, and mcprun asks for none.
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
    """Read an error response, and describe it."""
    return failure_from(response, (await read_body(response, max_bytes, WORDS_SECONDS)).data)


def failure_from(response: httpx2.Response, data: bytes, number: RequestId | None = None) -> HttpFailure:
    """Describe a response to the request with this `id` by its status and what was read of its body."""
    error = rpc_error(data)
    shown = data if number is None else without_id(data, number)
    return HttpFailure(
        response.status_code,
        reason_of(response.status_code, response.reason_phrase),
        words=error_text(error) if error else words_of(shown, media_type(response)),
        is_json_rpc=error is not None,
        retry_after=retry_after_of(response.headers),
    )


def has_events(response: httpx2.Response) -> bool:
    """Return whether the body of a response is a stream of events."""
    return media_type(response) == "text/event-stream"


def is_compressed(response: httpx2.Response) -> bool:
    """Return whether a body is compressed."""
    return bool(response.headers.get("content-encoding", "identity").strip().lower() != "identity")


def media_type(response: httpx2.Response) -> str:
    """Return the media type in lower case, without parameters; empty if the response names none."""
    return str(response.headers.get("content-type", "")).split(";")[0].strip().lower()


def without_id(data: bytes, number: RequestId) -> bytes:
    """Blank the `id` of a request in a body that is shown: it differs from run to run."""
    own = re.escape(json.dumps(number).encode())
    return re.sub(rb'("id"\s*:\s*)%s(?=[\s,}])' % own, rb"\1null", data)


def rpc_error(data: bytes) -> mcp_types.ErrorData | None:
    """Read a JSON-RPC error, also a malformed one; None if a body is something else."""
    try:
        value: Any = parsed_leniently(well_formed_bytes(data).decode(errors="replace"))
        if not isinstance(value, dict) or "error" not in value or not {"jsonrpc", "id"} & value.keys():
            return None
        message = None if "method" in value or flaw_of(value) else read_value(value)
    except (ValueError, RecursionError):
        return None
    return message.error if isinstance(message, mcp_types.JSONRPCError) else None


def words_of(data: bytes, kind: str) -> str:
    """Return the readable words of a body of a media type, on one line and bounded. Binary data has none."""
    try:
        text = data[:_WORDS_BYTES].decode(errors="ignore" if len(data) > _WORDS_BYTES else "strict")
    except UnicodeDecodeError:
        if not (kind.startswith("text/") or "json" in kind or "xml" in kind or not kind):
            return f"{kind}, {len(data):,} bytes"
        text = data[:_WORDS_BYTES].decode(errors="replace")
    if "html" in kind or text.lstrip()[:14].lower().startswith(("<!doctype html", "<html")):
        text = _html_text(text)
    elif text.lstrip()[:1] in ("{", "["):
        text = _json_text(text)
    return " ".join(text.split())[:MAX_WORDS]


def _json_text(text: str) -> str:
    """Return the words of a JSON body: the strings under keys that hold words, else the body itself."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    found = list(dict.fromkeys(_strings(value, _DEPTH)))
    return ": ".join(found) or text


def _strings(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [text for item in value[:3] for text in _strings(item, depth - 1)] if depth else []
    if not isinstance(value, dict) or not depth:
        return []
    return [text for key in _KEYS if key in value for text in _strings(value[key], depth - 1)]


class _Text(HTMLParser):
    """Collects the text of a page, without that of scripts and style sheets."""

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
