"""The tool of `server.py` on a server of the SDK, as its quickstart has it: what most servers in Python are."""

from mcp.server import MCPServer

server = MCPServer("adder")


@server.tool()
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


server.run()
