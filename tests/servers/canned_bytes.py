"""A server that answers with bytes from a file, well-formed or not: `canned_bytes.py FILE [http]`.

FILE is a JSON object with these keys:

- `modern`: speak 2026-07-28 instead of 2025-11-25.
- `pages`: for each list method, the JSON text of the result of each page.
- `results`: the JSON text of a result, by the `key` in a call's arguments, or by the name of the tool or prompt, or by the
  URI of the resource.
- `later`: replaces `pages` when the tool `change` is called, which also sends `notifications/tools/list_changed`.

Instead of JSON text, `error: {…}` is a JSON-RPC error, `hang` sends no response, and `exit` ends the server.

With `http`, the server prints its port and speaks Streamable HTTP with JSON bodies. Standard library only.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RESPONSES: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
CAPABILITIES = {"tools": {"listChanged": True}, "prompts": {}, "resources": {}}
FRAME: dict[str, Any] = (
    {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if RESPONSES.get("modern") else {}
)
EMPTY = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}


def result_of(method: str, params: dict[str, Any]) -> str | None:
    """Return the JSON text of a result, or None for an unknown method or name."""
    if method == "server/discover" and RESPONSES.get("modern"):
        versions = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES}
        return json.dumps({**FRAME, **versions, "serverInfo": {"name": "as told", "version": "1"}})
    if method == "initialize" and not RESPONSES.get("modern"):
        info = {"name": "as told", "version": "1"}
        return json.dumps({"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": info})
    if method in EMPTY:
        pages = RESPONSES.get("pages", {}).get(method) or [json.dumps({**FRAME, EMPTY[method]: []})]
        return str(pages[int(params.get("cursor") or 0)])
    if method in ("tools/call", "prompts/get", "resources/read"):
        key = (params.get("arguments") or {}).get("key") or params.get("name") or params.get("uri")
        found = RESPONSES.get("results", {}).get(key)
        return None if found is None else str(found)
    return "{}" if method == "ping" else None


def answers(message: dict[str, Any]) -> list[bytes]:
    """Return the messages to send: none, a response, or a notification and a response."""
    method, number = message.get("method"), message.get("id")
    if method is None or number is None:
        return []
    found = result_of(method, message.get("params") or {})
    if found == "hang":
        return []
    if found == "exit":
        sys.exit("told to")
    part = f'"result":{found}'
    if found is None:
        part = '"error":{"code":-32601,"message":"Method not found"}'
    elif found.startswith("error: "):
        part = f'"error":{found.removeprefix("error: ")}'
    text = f'{{"jsonrpc":"2.0","id":{json.dumps(number)},{part}}}'
    sent = [text.encode("utf-8", "surrogatepass")]
    if method == "tools/call" and message["params"]["name"] == "change":
        RESPONSES["pages"] = RESPONSES["later"]
        sent.insert(0, b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
    return sent


class Handler(BaseHTTPRequestHandler):
    """Respond to each request with one JSON body."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        sent = answers(message)
        body = sent[-1] if sent else b""
        self.send_response(200 if sent else 202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_response(405)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


if sys.argv[2:] == ["http"]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(http.server_port, flush=True)
    http.serve_forever()
for line in sys.stdin.buffer:
    for answer in answers(json.loads(line)):
        sys.stdout.buffer.write(answer + b"\n")
        sys.stdout.buffer.flush()
