"""The tool of `server.py` on a server written like the SDK's quickstart, as most Python servers are."""

from mcp.server import MCPServer

server = MCPServer("adder")


@server.tool()
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


server.run()
