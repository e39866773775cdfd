"""Run `mcprun batch` for benchmarks, with generated prompts files and a new folder for each run."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

from tests.benchmarks import SERVER
from tests.benchmarks.processes import Cost, cost_of
from tests.support.cli import ROOT, clean_environment

SCRIPT = ("--model", "script", "--concurrency", "64")

_NUMBERS = itertools.count(1)


def prompts(folder: Path, queries: int, calls: int = 1) -> Path:
    """Write a prompts file. Each query is a script of one turn with `calls` calls, and a final text turn."""
    file = folder / f"prompts-{queries}-{calls}.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for number in range(queries):
            scripted_calls = [{"tool": "add", "input": {"a": number, "b": at}} for at in range(calls)]
            script = [{"calls": scripted_calls}, {"text": "Done."}]
            line = {"id": f"query-{number:07}", "prompt": f"What is {number} + 3?", "script": script}
            stream.write(json.dumps(line) + "\n")
    return file


def batch(folder: Path, file: Path, *flags: str, server: str = str(SERVER), out: Path | None = None) -> Cost:
    """Run `mcprun batch` into `out`, by default a new folder, and return its cost."""
    out = out or folder / f"run-{next(_NUMBERS)}"
    command = [sys.executable, "-m", "mcprun", "batch", str(file), server, "--quiet", "--out", str(out), *flags]
    return cost_of(command, cwd=folder, env={**clean_environment(), "ANTHROPIC_API_KEY": "none-at-all"})


def floor(*arguments: str | int) -> Cost:
    """Run `floor.py`, which uses only the SDKs, and return its cost."""
    command = [sys.executable, "-m", "tests.benchmarks.floor", *map(str, arguments)]
    return cost_of(command, cwd=ROOT, env=clean_environment())
