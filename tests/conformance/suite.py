"""Install, list and run the protocol's own tests for clients, `@modelcontextprotocol/conformance` from npm.

Each scenario is a server that checks what a client sends. A scenario that applies to several protocol versions is run once
for each: older versions have a handshake and sessions, 2026-07-28 has neither.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.support import npm
from tests.support.cli import ROOT

PACKAGES = (
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",  # the first series with 2026-07-28; each release adds tests
    "node@^22.23.3",  # runs the suite, whatever Node the machine has
)
CACHE = ROOT / ".cache" / "conformance"

EXTENSION = "extension"
"""In place of a version: the scenario belongs to an optional extension of the protocol."""

CLIENT = (sys.executable, "-m", "tests.conformance.client")

_CLIENT_SECONDS = 120
_SECONDS = 180.0
_LISTED = re.compile(r"^  - (\S+) \[(.+)\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Trial:
    """A scenario and the protocol version that it is run with, or `EXTENSION`."""

    scenario: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a trial: the number of passed checks and of all checks. `printed` explains a failure.

    The suite passes a client for which it made no check. Such a trial is `skipped` here.
    """

    trial: Trial
    verdict: Literal["passed", "failed", "skipped"]
    held: int
    checks: int
    printed: str


class Suite:
    """The installed suite and the Node that runs it."""

    def __init__(self, modules: Path) -> None:
        self._node = modules / "node" / "bin" / "node"
        self._program = modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"

    @classmethod
    def install(cls) -> Suite:
        """Install the suite if necessary."""
        return cls(npm.node_modules(CACHE, PACKAGES))

    def trials(self) -> list[Trial]:
        """Return a trial for each client scenario and version that it applies to, in the suite's order."""
        return list(trials(self._run("list", "--client").stdout))

    def run(self, trial: Trial, folder: Path) -> Outcome:
        """Run the client against a scenario. The suite writes its output and checks below `folder`."""
        version = () if trial.protocol == EXTENSION else ("--spec-version", trial.protocol)
        done = self._run(
            "client", "--command", shlex.join(CLIENT), "--timeout", str(_CLIENT_SECONDS * 1000),
            "--scenario", trial.scenario, *version, "--output-dir", str(folder),
        )  # fmt: skip
        found = [check for file in folder.rglob("checks.json") for check in json.loads(file.read_bytes())]
        held = verdicts(found)
        verdict: Literal["passed", "failed", "skipped"]
        verdict = "skipped" if not held else "failed" if done.returncode else "passed"
        return Outcome(trial, verdict, sum(held.values()), len(held), done.stderr)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._node, self._program, *arguments],
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip


def verdicts(checks: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], bool]:
    """Return for each check whether it passed every time: some are repeated for every request.

    A warning counts as a failure, as in the suite. Entries with another status, such as INFO or SKIPPED, are ignored.
    """
    held: dict[tuple[str, str], bool] = {}
    for check in checks:
        if check["status"] in ("SUCCESS", "WARNING", "FAILURE"):
            key = (check["id"], check["name"])
            held[key] = held.get(key, True) and check["status"] == "SUCCESS"
    return held


def trials(listing: str) -> Iterator[Trial]:
    """Parse the list of scenarios, which has lines of the form `  - name [version,version]`."""
    for scenario, protocols in _LISTED.findall(listing):
        for protocol in protocols.split(","):
            yield Trial(scenario, protocol)
