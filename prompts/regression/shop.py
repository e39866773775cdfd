"""A shop's MCP server: the good version, against which the other two are held."""

from mcp.server import MCPServer

server = MCPServer("shop", version="1.0.0")
PRICES = {"apple": 0.5, "bread": 3.2, "milk": 1.1}


@server.tool()
def price(item: str) -> float:
    """Tell what one of an item costs, in euros."""
    return PRICES[item]


@server.tool()
def total(items: dict[str, int]) -> dict[str, float]:
    """Add up a basket: how many of each item."""
    goods = sum(PRICES[item] * count for item, count in items.items())
    return {"goods": goods, "shipping": 0.0 if goods > 10 else 2.5}


if __name__ == "__main__":
    server.run()
