"""An echo server over HTTP, `streamable-http` or `sse`, on a free port that it prints on stdout.

A second argument is the bearer token that clients must send. If it is `broken`, no token is required and every tool call is
answered with an HTTP error.
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
barriers: dict[int, asyncio.Barrier] = {}


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
async def meet(calls: int) -> str:
    """Wait until this many calls are in flight."""
    await barriers.setdefault(calls, asyncio.Barrier(calls)).wait()
    return "All are here."


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
        was_replayed = False

        async def replay_body() -> dict[str, Any]:
            nonlocal was_replayed
            if was_replayed:
                return dict(await receive())
            was_replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        if b'"tools/call"' in body:
            await PlainTextResponse("out of order", 502)(scope, replay_body, send)
        else:
            await app(scope, replay_body, send)

    return answer


async def main() -> None:
    app: Any = server.sse_app() if sys.argv[1] == "sse" else server.streamable_http_app()
    if len(sys.argv) > 2:
        app = broken(app) if sys.argv[2] == "broken" else guarded(app, sys.argv[2])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # before printing the port, so that early connections are queued
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])


asyncio.run(main())
