"""`odd_answers.py` over HTTP, on a free port that it prints. Standard library only.

Arguments: `legacy` or `modern`, and the transport: `json` or `events` (Streamable HTTP with that type of body), or `sse`
(the transport of 2024-11-05). A request without lines is never answered.
"""

import json
import queue
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from odd_answers import lines_for  # type: ignore[import-not-found]  # in the same folder

TRANSPORT = sys.argv[2]
STREAMS: "list[queue.Queue[str]]" = []


def event(line: str, name: str = "message") -> bytes:
    return f"event: {name}\ndata: {line}\n\n".encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        if TRANSPORT != "sse":
            self.reply(405, b"", "text/plain")
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        stream: queue.Queue[str] = queue.Queue()
        STREAMS.append(stream)
        self.wfile.write(event(f"/messages/{len(STREAMS) - 1}", "endpoint"))
        while True:
            self.wfile.write(event(stream.get()))

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        lines = lines_for(message)
        if TRANSPORT == "sse":
            for line in lines:
                STREAMS[int(self.path.rpartition("/")[2])].put(line)
            self.reply(202, b"", "text/plain")
        elif "id" not in message:
            self.reply(202, b"", "text/plain")
        elif not lines:
            time.sleep(600)
        elif TRANSPORT == "json":
            self.reply(200, lines[-1].encode(), "application/json")
        else:
            self.reply(200, b"".join(map(event, lines)), "text/event-stream")

    def reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
