"""The echo server over HTTP, `streamable-http` or `sse`, on a free port that it prints on stdout."""

import asyncio
import socket
import sys

import uvicorn
from mcp.server import MCPServer

server = MCPServer("over-http", version="1.0.0")


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


async def main() -> None:
    app = server.sse_app() if sys.argv[1] == "sse" else server.streamable_http_app()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve(sockets=[listener])


asyncio.run(main())
