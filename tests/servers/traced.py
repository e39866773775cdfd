"""Says which trace context came with a call, in `_meta` as W3C Trace Context has it."""

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("traced")


@server.tool()
def traceparent(ctx: Context) -> str:
    """Give the `traceparent` that came."""
    return str((ctx.request_context.meta or {}).get("traceparent"))


@server.tool()
def fails(why: str) -> str:
    """Fail with these words, as an error of the protocol."""
    raise MCPError(code=-32000, message=why)


if __name__ == "__main__":
    server.run()
