"""The client that the suite starts, `python -m tests.conformance.client URL`: it runs commands of mcprun, and no more.

The suite says in the environment what it asks (see its README, "Client Testing"). All that is sent to its server is
sent by mcprun; what fails here is mcprun's. Where mcprun says how to log in, that is done, as its users would.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.scenarios import Asked, Command, commands
from tests.support.cli import clean_environment

BROWSER = Path(__file__).with_name("browser.py")

_ADVICE = re.compile(r"mcprun (login [^\s),]+(?: --oauth-scope (?:'[^']*'|[^\s']+))?)")
_MAX_LOGINS = 2
"""One, and one more where a server wants other scopes, or has another authorization server by then."""


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
            if code := carried_out(command, asked.folder):
                return code
    return 0


def carried_out(command: Command, folder: Path) -> int:
    """Run a command, again after each login that mcprun says is wanted; give its exit code at last."""
    code, stderr = mcprun(command, folder)
    for _ in range(_MAX_LOGINS):
        advice = _ADVICE.search(stderr) if code else None
        if advice is None:
            break
        mcprun(shlex.split(advice[1]), folder)
        code, stderr = mcprun(command, folder)
    return code


def mcprun(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run mcprun in a folder that holds its tokens, too; give its exit code, and what it printed on stderr."""
    environment = {
        "BROWSER": shlex.join((sys.executable, str(BROWSER), "%s")),
        "MCPRUN_TOKEN_STORE": str(folder / "tokens"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "mcprun", *command],
        cwd=folder, env=clean_environment() | environment, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    print(done.stderr, end="", file=sys.stderr, flush=True)
    return done.returncode, done.stderr


if __name__ == "__main__":
    sys.exit(main())
