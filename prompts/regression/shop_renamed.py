"""The shop after a tool was given another name: whoever knows the old one calls in vain."""

from mcp.server import MCPServer

server = MCPServer("shop", version="2.0.0")
PRICES = {"apple": 0.5, "bread": 3.2, "milk": 1.1}


@server.tool()
def unit_price(item: str) -> float:
    """Tell what one of an item costs, in euros."""
    return PRICES[item]


@server.tool()
def total(items: dict[str, int]) -> dict[str, float]:
    """Add up a basket: how many of each item."""
    goods = sum(PRICES[item] * count for item, count in items.items())
    return {"goods": goods, "shipping": 0.0 if goods > 10 else 2.5}


if __name__ == "__main__":
    server.run()
