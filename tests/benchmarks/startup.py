"""How quick the command is there: its help against importing click, what reads runs against importing the MCP SDK.

The latter take about half of it, which shows that they import no SDK.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.batches import SCRIPT, batch, prompts
from tests.benchmarks.processes import cost_of
from tests.benchmarks.ratios import Figure, compare
from tests.support.cli import clean_environment

TIMES = 10
"""Starts per measurement: a single one takes hundredths of a second."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure help, and the commands that read runs, on runs of ten queries."""
    batch(folder, prompts(folder, 10), *SCRIPT, out=folder / "run")
    shutil.copytree(folder / "run", folder / "head")
    mcprun = (sys.executable, "-m", "mcprun")
    for name, command, imported, allowed in (
        ("--help", ("--help",), "click", 2.0),
        ("show", ("show", "run"), "mcp", 0.6),
        ("diff", ("diff", "run", "head"), "mcp", 0.6),
        ("report", ("report", "run", "--junit", "-"), "mcp", 0.6),
    ):
        yield compare(
            f"startup: {name}, and importing {imported}",
            lambda command=command: _total_seconds(folder, *mcprun, *command),  # type: ignore[misc]
            lambda imported=imported: _total_seconds(folder, sys.executable, "-c", f"import {imported}"),  # type: ignore[misc]
            allowed=allowed,
            rounds=rounds,
        )


def _total_seconds(folder: Path, *command: str) -> float:
    return sum(cost_of(command, cwd=folder, env=clean_environment()).processor for _ in range(TIMES))
