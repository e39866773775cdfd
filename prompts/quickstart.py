"""A small MCP server to try mcprun on: a calculator and a shelf of notes."""

from mcp.server import MCPServer

server = MCPServer("quickstart", version="1.0.0")
notes: dict[str, str] = {}


@server.tool()
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@server.tool()
def divide(a: float, b: float) -> float:
    """Divide a by b."""
    if b == 0:
        raise ValueError("b must not be 0")
    return a / b


@server.tool()
def save_note(title: str, text: str) -> dict[str, str]:
    """Keep a note; gives the id that it can be read by."""
    note_id = title.lower().replace(" ", "-")
    notes[note_id] = text
    return {"id": note_id}


@server.tool()
def read_note(id: str) -> str:
    """Read a note by its id."""
    return notes[id]


if __name__ == "__main__":
    server.run()
