"""A server that returns the W3C trace context in the `_meta` of a call."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.stdlib_server import Context, ProtocolError, StdlibServer

server = StdlibServer("traced")


@server.tool()
def traceparent(ctx: Context) -> str:
    """Give the `traceparent` that came."""
    return str(ctx.meta.get("traceparent"))


@server.tool()
def fails(why: str) -> str:
    """Fail with these words, as an error of the protocol."""
    raise ProtocolError(-32000, why)


if __name__ == "__main__":
    server.run()
