"""A stub Messages API with almost no cost: `python -m tests.benchmarks.api [SECONDS]` prints its URL and serves.

After SECONDS, a request without a tool result gets a call of `add`, and one with a tool result gets the end of the turn.
A GET gets the counts of both at once. Only the HTTP that the SDKs' clients write is supported.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.cli import ROOT

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_IS_ERROR = re.compile(rb'"is_error": *true')


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Counts of requests: without a tool result, with one, and with one that is an error."""

    first: int = 0
    results: int = 0
    errors: int = 0

    def __sub__(self, before: RequestCounts) -> RequestCounts:
        """Return the requests received after `before` was counted."""
        return RequestCounts(self.first - before.first, self.results - before.results, self.errors - before.errors)


def _answer(content: list[dict[str, Any]], stop_reason: str) -> bytes:
    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
        "content": content, "stop_reason": stop_reason, "stop_sequence": None,
        "usage": {
            "input_tokens": 900, "output_tokens": 60,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        },
    }  # fmt: skip
    return _response(body)


def _response(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


_CALL = _answer([{"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 2, "b": 3}}], "tool_use")
_END = _answer([{"type": "text", "text": "2 + 3 is 5."}], "end_turn")


class _Connection(asyncio.Protocol):
    """A kept-alive connection. Each request is answered once it is complete."""

    def __init__(self, seconds: float, counts: Counter[str]) -> None:
        self._seconds = seconds
        self._counts = counts
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n") + 4) > 3:
            length = _LENGTH.search(self._data, 0, end)
            end_of_body = end + (int(length[1]) if length else 0)
            if len(self._data) < end_of_body:
                return
            request, self._data = self._data[:end_of_body], self._data[end_of_body:]
            if request.startswith(b"GET "):
                self._transport.write(_response(dict(self._counts)))
            elif self._seconds:
                asyncio.get_running_loop().call_later(self._seconds, self._transport.write, self._answer_to(request))
            else:
                self._transport.write(self._answer_to(request))

    def _answer_to(self, request: bytes) -> bytes:
        if b'"tool_result"' not in request:
            self._counts["first"] += 1
            return _CALL
        self._counts["results"] += 1
        self._counts["errors"] += bool(_IS_ERROR.search(request))
        return _END


@contextmanager
def serving(seconds: float = 0.0) -> Iterator[str]:
    """Run the API in its own process, and yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.api", str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def request_counts(url: str) -> RequestCounts:
    """Return the counts of requests that the API at a URL has received so far."""
    with urllib.request.urlopen(url) as answer:
        return RequestCounts(**json.load(answer))


async def main(seconds: float) -> None:
    """Serve until the process is terminated."""
    counts: Counter[str] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(seconds, counts), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
