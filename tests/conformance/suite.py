"""The protocol's own tests for clients, `@modelcontextprotocol/conformance`: installed from npm, listed, run.

Each scenario is a server that a client is started against, and that looks at what the client sends. One that holds
for several versions of the protocol is run once for each: the older ones have a handshake and sessions, 2026-07-28
has neither.
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
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",  # the first series that knows 2026-07-28; each release adds tests
    "node@^22.23.3",  # runs it, whatever node the machine has
)
CACHE = ROOT / ".cache" / "conformance"

EXTENSION = "extension"
"""In place of a version: the scenario belongs to an optional part of the protocol, and to no version of it."""

CLIENT = (sys.executable, "-m", "tests.conformance.client")

_CLIENT_SECONDS = 120
_SECONDS = 180.0
_LISTED = re.compile(r"^  - (\S+) \[(.+)\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Trial:
    """A scenario, and the version of the protocol that it is run with (or `EXTENSION`)."""

    scenario: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial: the checks that held, and all that were made; `printed` is what explains a failure.

    The suite passes a client that was too far away for any check: here it is skipped.
    """

    trial: Trial
    verdict: Literal["passed", "failed", "skipped"]
    held: int
    checks: int
    printed: str


class Suite:
    """The suite, and the node that runs it."""

    def __init__(self, modules: Path) -> None:
        self._node = modules / "node" / "bin" / "node"
        self._program = modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"

    @classmethod
    def install(cls) -> Suite:
        """Install the suite, unless it is there."""
        return cls(npm.node_modules(CACHE, PACKAGES))

    def trials(self) -> list[Trial]:
        """Return all scenarios for clients in the suite's order, each with the versions that it applies to."""
        return list(trials(self._run("list", "--client").stdout))

    def run(self, trial: Trial, folder: Path) -> Outcome:
        """Run the client against a scenario; what is printed and checked is kept below `folder`."""
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
    """Say of each check whether it held whenever it was made: some are made of every request, however many come.

    A warning fails a scenario, as the suite counts. What is informed of or skipped is no check.
    """
    held: dict[tuple[str, str], bool] = {}
    for check in checks:
        if check["status"] in ("SUCCESS", "WARNING", "FAILURE"):
            made = (check["id"], check["name"])
            held[made] = held.get(made, True) and check["status"] == "SUCCESS"
    return held


def trials(listed: str) -> Iterator[Trial]:
    """Read the list of scenarios, `  - name [version,version]` a line."""
    for scenario, protocols in _LISTED.findall(listed):
        for protocol in protocols.split(","):
            yield Trial(scenario, protocol)
