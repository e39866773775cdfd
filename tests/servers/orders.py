"""A shop's orders, for the runs of `tests.support.red_runs`. Its argument selects a version: `changed` or `dead`."""

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.stdlib_server import StdlibServer, ToolError

VERSION = sys.argv[1] if len(sys.argv) > 1 else "current"
LIMIT = 200
server = StdlibServer("orders", version="2.0.0" if VERSION == "changed" else "1.0.0")
rolls: dict[str, int] = {}


@server.tool()
def get_order(order: str) -> dict[str, str]:
    """Return an order: its number, its state and its total."""
    state = "in_transit" if VERSION == "changed" else "shipped"
    return {"order": order, "state": state, "total": f"{len(order) * 12}.50 EUR"}


@server.tool()
def refund(order: str, amount: int) -> str:
    """Refund an amount in euros."""
    if amount > LIMIT:
        print(f"Traceback (most recent call last):\n  File \"/srv/orders/refunds.py\", line 88, in refund\n"
              f"LimitExceeded: {amount} > {LIMIT} for order {order}", file=sys.stderr, flush=True)  # fmt: skip
        raise ToolError(f"limit exceeded ({amount} > {LIMIT}, order {order})")
    return f"Refunded {amount} EUR of {order}."


def list_stores(city: str) -> list[Any]:
    """List the stores of a city."""
    return [{"type": "text", "text": f"{city}: Main Street 1, Harbour 7"}]


server.add_tool(list_stores, "list_shops" if VERSION == "changed" else "list_stores")


@server.tool()
def stock(item: str) -> int:
    """Return how many of an item are in stock."""
    print(f"stock: reading {item} from the warehouse", file=sys.stderr, flush=True)
    return len(item) * 3


@server.tool()
def report(month: int) -> Generator[None, None, str]:
    """Compute the report of a month; a month after the 12th is never ready."""
    while month > 12:
        yield None
    return f"Report of month {month}: 1,024 orders."


@server.tool()
def export(format: str) -> str:
    """Export all orders; an unknown format ends the server."""
    if format != "csv":
        print(f"Traceback (most recent call last):\n  File \"/srv/orders/export.py\", line 12, in export\n"
              f"KeyError: {format!r}", file=sys.stderr, flush=True)  # fmt: skip
        os._exit(3)
    return "orders.csv"


@server.tool()
def roll(name: str, passing: str) -> str:
    """Succeed at the calls whose digit in `passing` is 1, counted by name."""
    at = rolls[name] = rolls.get(name, -1) + 1
    if passing[at % len(passing)] != "1":
        raise ToolError(f"the warehouse did not answer (try {at})")
    return "ok"


if VERSION == "dead":
    print("Traceback (most recent call last):\n  File \"/srv/orders/server.py\", line 4, in <module>\n"
          "    token = os.environ[\"TRACKER_TOKEN\"]\n            ~~~~~~~~~~^^^^^^^^^^^^^^^^^\n"
          "KeyError: 'TRACKER_TOKEN'", file=sys.stderr, flush=True)  # fmt: skip
    sys.exit(1)
if __name__ == "__main__":
    server.run()
