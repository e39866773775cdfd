"""The client that the suite starts, `python -m tests.conformance.client URL`. It only runs mcprun commands.

The suite passes the scenario in environment variables (see its README, "Client Testing"). Only mcprun talks to the suite's
server, so a failure is a failure of mcprun. If mcprun prints a login command, the client runs it, as a user would.
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

from tests.conformance.scenarios import Command, ScenarioRequest, commands
from tests.support.cli import clean_environment

BROWSER = Path(__file__).with_name("browser.py")

_ADVICE = re.compile(r"mcprun (login [^\s),]+(?: --oauth-scope (?:'[^']*'|[^\s']+))?)")
_MAX_LOGINS = 2
"""One login, and another if the server then requires other scopes or changes its authorization server."""


def main() -> int:
    """Run the commands of the scenario until one fails. Return the last exit code."""
    with tempfile.TemporaryDirectory() as name:
        request = ScenarioRequest(
            scenario=os.environ["MCP_CONFORMANCE_SCENARIO"],
            url=sys.argv[1],
            protocol=os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"],
            context=json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")),
            folder=Path(name),
        )
        for command in commands(request):
            if code := run_with_logins(command, request.folder):
                return code
    return 0


def run_with_logins(command: Command, folder: Path) -> int:
    """Run a command, and rerun it after each login that mcprun advises. Return its last exit code."""
    code, stderr = mcprun(command, folder)
    for _ in range(_MAX_LOGINS):
        advice = _ADVICE.search(stderr) if code else None
        if advice is None:
            break
        mcprun(shlex.split(advice[1]), folder)
        code, stderr = mcprun(command, folder)
    return code


def mcprun(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run mcprun in a folder, with its token store below it. Return its exit code and its stderr."""
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
