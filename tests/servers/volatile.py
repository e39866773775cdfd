"""A server whose results differ in each call: ids, times, temporary paths, ports, order, numbers. `price` is constant.

`volatile.py PRICE` changes the price, as a regression would.
"""

import json
import random
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.servers.stdlib_server import StdlibServer

PRICE = float(sys.argv[1]) if len(sys.argv) > 1 else 2.5
server = StdlibServer("volatile")


@server.tool()
def create() -> str:
    """Create an order."""
    started = time.perf_counter()
    order = {"id": str(uuid.uuid4()), "created_at": datetime.now(UTC).isoformat(), "price": PRICE}
    return json.dumps(order | {"elapsed_ms": 1000 * (time.perf_counter() - started)})


@server.tool()
def listing() -> str:
    """List orders in random order."""
    items = [{"name": name, "etag": uuid.uuid4().hex} for name in "abcdefgh"]
    random.shuffle(items)
    return json.dumps({"orders": items, "price": PRICE})


@server.tool()
def export() -> str:
    """Export the orders."""
    return f"Wrote {tempfile.gettempdir()}/export-{uuid.uuid4().hex[:8]}/orders.csv: price {PRICE}"


@server.tool()
def now() -> str:
    """Return the time."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"


@server.tool()
def roll() -> str:
    """Roll a die with very many sides."""
    return f"You rolled {random.randrange(10**6)} of 1000000"


@server.tool()
def quote() -> str:
    """Return a quote, at random."""
    return " ".join(random.sample(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], 9))


@server.tool()
def price() -> float:
    """Return the price."""
    return PRICE


server.run()
