"""The client that the suite starts, `python -m tests.conformance.client URL`: it runs commands of mcprun, and no more.

The suite says in the environment what it asks (see its README, "Client Testing"). All that is sent to its server is
sent by mcprun; what fails here is mcprun's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conformance.scenarios import Asked, commands
from tests.support.cli import clean_environment


def main() -> int:
    """Run the scenario's commands, up to the first that fails; give its exit code."""
    with tempfile.TemporaryDirectory() as name:
        asked = Asked(
            scenario=os.environ["MCP_CONFORMANCE_SCENARIO"],
            url=sys.argv[1],
            protocol=os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"],
            context=json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")),
            folder=Path(name),
        )
        for command in commands(asked):
            done = subprocess.run([sys.executable, "-m", "mcprun", *command], cwd=name, env=clean_environment())
            if done.returncode:
                return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
