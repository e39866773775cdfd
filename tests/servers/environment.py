"""A server that tells its environment on stderr when it starts."""

import os
import sys
from pathlib import Path

from mcp.server import MCPServer

print(dict(os.environ), "in", Path.cwd(), file=sys.stderr, flush=True)
MCPServer("environment").run()
