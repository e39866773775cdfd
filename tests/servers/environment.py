"""A server that tells its environment on stderr when it starts."""

import os
import sys

from mcp.server import MCPServer

print(dict(os.environ), file=sys.stderr, flush=True)
MCPServer("environment").run()
