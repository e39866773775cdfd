"""Start-up: `--help` compared with click, and the commands that read runs compared with importing the MCP SDK.

Those commands take about half as long as the import, which shows that they import no SDK.
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

_BARE = """import click


@click.command()
@click.option("--name")
def main(name):
    pass


main()
"""
"""A click command with one option."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure help, and the commands that read runs, on runs of ten queries."""
    batch(folder, prompts(folder, 10), *SCRIPT, out=folder / "run")
    shutil.copytree(folder / "run", folder / "head")
    mcprun = (sys.executable, "-m", "mcprun")
    (folder / "bare.py").write_text(_BARE)
    bare = (sys.executable, "bare.py", "--help")
    for name, command, other, allowed in (
        ("--help, and importing click", ("--help",), _importing("click"), 2.5),
        ("--help, and that of a bare click command", ("--help",), bare, 3.0),
        ("batch --help, and that of a bare click command", ("batch", "--help"), bare, 3.0),
        ("show, and importing mcp", ("show", "run"), _importing("mcp"), 0.6),
        ("diff, and importing mcp", ("diff", "run", "head"), _importing("mcp"), 0.6),
        ("report, and importing mcp", ("report", "run", "--junit", "-"), _importing("mcp"), 0.6),
    ):
        yield compare(
            f"startup: {name}",
            lambda command=command: _total_seconds(folder, *mcprun, *command),  # type: ignore[misc]
            lambda other=other: _total_seconds(folder, *other),  # type: ignore[misc]
            allowed=allowed,
            rounds=rounds,
        )


def _importing(package: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import {package}")


def _total_seconds(folder: Path, *command: str) -> float:
    return sum(cost_of(command, cwd=folder, env=clean_environment()).processor for _ in range(TIMES))
