"""A server that answers from a JSON file, over stdio or HTTP: `canned_answers.py FILE [http]`.

The file is an object of `tools` (as in `tools/list`), `results` by tool, `prompts` (messages by name), and `resources`
(contents by URI). A list of results is returned one after the other. With `http`, the server prints its port and responds
with JSON bodies. It speaks the legacy protocol in ASCII, with all other characters escaped. Standard library only.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RESPONSES: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())


def tools() -> list[dict[str, Any]]:
    """Return the tools in the file, or if it has none, a tool for each result."""
    return RESPONSES.get("tools") or [
        {"name": name, "inputSchema": {"type": "object"}} for name in RESPONSES["results"]
    ]


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request, or None for an unknown method."""
    match method:
        case "initialize":
            capabilities: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
            info = {"name": RESPONSES.get("name", "given"), "version": "1"}
            return {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info}
        case "tools/list":
            return {"tools": tools()}
        case "tools/call":
            result = RESPONSES.get("results", {}).get(params["name"])
            if isinstance(result, list):
                result = result.pop(0) if len(result) > 1 else result[0]
            text = json.dumps(params.get("arguments"), sort_keys=True)
            return result or {"content": [{"type": "text", "text": text}]}
        case "prompts/list":
            return {"prompts": [{"name": name} for name in RESPONSES.get("prompts", {})]}
        case "prompts/get":
            return {"messages": RESPONSES["prompts"][params["name"]]}
        case "resources/list":
            return {"resources": [{"name": uri, "uri": uri} for uri in RESPONSES.get("resources", {})]}
        case "resources/read":
            return {"contents": [{"uri": params["uri"], **RESPONSES["resources"][params["uri"]]}]}
        case "ping":
            return {}
    return None


def answer_to(message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the response to a message, or None for a notification."""
    if "id" not in message or "method" not in message:
        return None
    head = {"jsonrpc": "2.0", "id": message["id"]}
    result = result_of(message["method"], message.get("params") or {})
    if result is None:
        return {**head, "error": {"code": -32601, "message": "Method not found"}}
    return {**head, "result": result}


class Handler(BaseHTTPRequestHandler):
    """A minimal Streamable HTTP endpoint."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = answer_to(message)
        body = json.dumps(answer).encode() if answer else b""
        self.send_response(200 if answer else 202)
        if answer:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_response(405)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_DELETE = do_GET  # noqa: N815  named by http.server

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


def main() -> None:
    if sys.argv[2:] == ["http"]:
        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            print(server.server_address[1], flush=True)
            server.serve_forever()
    for line in sys.stdin:
        if answer := answer_to(json.loads(line)):
            print(json.dumps(answer), flush=True)


main()
