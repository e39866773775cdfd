"""`prompts/regression/shop.py` on `StdlibServer` instead of the SDK, which starts faster."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.servers.stdlib_server import run_example

run_example("regression/shop.py")
