"""The echo server over HTTP, `streamable-http` or `sse`, on a free port that it prints on stdout.

With a second argument, it lets only those in who bring that token; where that is `broken`, it lets everybody in
and answers each call of a tool with an HTTP error.
"""

import asyncio
import socket
import sys
from typing import Any

import uvicorn
from mcp.server import MCPServer
from starlette.requests import Request
from starlette.responses import PlainTextResponse

server = MCPServer("over-http", version="1.0.0")


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


def guarded(app: Any, token: str) -> Any:
    async def guard(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", []))
        if scope["type"] == "http" and headers.get(b"authorization") != f"Bearer {token}".encode():
            await PlainTextResponse("who are you?", 401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guard


def broken(app: Any) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        sent = False

        async def again() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return dict(await receive())
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        if b'"tools/call"' in body:
            await PlainTextResponse("out of order", 502)(scope, again, send)
        else:
            await app(scope, again, send)

    return answer


async def main() -> None:
    app: Any = server.sse_app() if sys.argv[1] == "sse" else server.streamable_http_app()
    if len(sys.argv) > 2:
        app = broken(app) if sys.argv[2] == "broken" else guarded(app, sys.argv[2])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # before its port is told: who comes sooner than the server waits for it
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])


asyncio.run(main())
