"""A server that prints its environment and working folder to stderr when it starts."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.stdlib_server import StdlibServer

print(dict(os.environ), "in", Path.cwd(), file=sys.stderr, flush=True)
StdlibServer("environment").run()
