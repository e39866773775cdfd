"""The echo server over HTTP, `streamable-http` or `sse`, on a free port that it prints on stdout.

With a second argument, it lets only those in who bring that token.
"""

import asyncio
import socket
import sys
from typing import Any

import uvicorn
from mcp.server import MCPServer
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


async def main() -> None:
    app: Any = server.sse_app() if sys.argv[1] == "sse" else server.streamable_http_app()
    if len(sys.argv) > 2:
        app = guarded(app, sys.argv[2])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])


asyncio.run(main())
