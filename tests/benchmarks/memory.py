"""Peak memory of a long run compared with a short one, and the cost of resuming a run that is nearly complete.

Scripts run against a server in the same process, so that only mcprun is measured.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from tests.benchmarks.batches import prompts
from tests.benchmarks.processes import Cost, cost_of
from tests.benchmarks.ratios import Figure, compare
from tests.support.cli import ROOT, clean_environment

SHORT, LONG = 1_000, 100_000
ALLOWED = 1.2
RESUMING = 4.0
"""A resume checks every line of the prompts file and of the transcripts. The baseline only parses them."""

RUN = """
import asyncio, sys, mcprun
from mcp.server import MCPServer

server = MCPServer("adder")

@server.tool()
def add(a: int, b: int) -> int:
    return a + b

options = mcprun.Options(model="script", limits=mcprun.Limits(concurrency=16), out=sys.argv[2])
resume = sys.argv[3] if len(sys.argv) > 3 else None
run = asyncio.run(mcprun.run_batch(sys.argv[1], server, options, resume=resume))
sys.exit(run.record.exit_code)
"""


class Place(TypedDict):
    """Keyword arguments of `Popen`."""

    cwd: Path
    env: dict[str, str]


READ = """
import json, sys
for name in sys.argv[1:]:
    with open(name, "rb") as stream:
        for line in stream:
            json.loads(line)
"""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure memory once, whatever `rounds` is: the long run takes minutes, and its memory hardly varies."""
    yield compare(
        f"memory: {LONG:,} queries, and {SHORT:,}",
        lambda: _run(folder, LONG).megabytes,
        lambda: _run(folder, SHORT).megabytes,
        allowed=ALLOWED,
        rounds=1,
        unit="MB",
    )
    file, run = prompts(folder, LONG), folder / f"run-{LONG}"
    yield compare(
        f"memory: resuming with {SHORT} of {LONG:,} to do",
        lambda: resume(folder, LONG).processor,
        lambda: cost_of([sys.executable, "-c", READ, str(file), str(run / "transcripts.jsonl")]).processor,
        allowed=RESUMING,
        rounds=rounds,
    )


def _run(folder: Path, queries: int) -> Cost:
    out = folder / f"run-{queries}"
    shutil.rmtree(out, ignore_errors=True)
    return _python(folder, str(prompts(folder, queries)), str(out))


def resume(folder: Path, queries: int) -> Cost:
    """Remove the last `SHORT` transcripts of a finished run, resume it, and return the cost."""
    run = folder / f"run-{queries}"
    record = json.loads((run / "run.json").read_bytes())
    (run / "run.json").write_text(json.dumps({**record, "state": "started", "counts": None}))
    transcripts = run / "transcripts.jsonl"
    with transcripts.open("rb") as lines:
        size = sum(len(line) for line in itertools.islice(lines, queries - SHORT))
    os.truncate(transcripts, size)
    return _python(folder, str(folder / f"prompts-{queries}-1.jsonl"), str(folder / "unused"), str(run))


def _python(folder: Path, *arguments: str) -> Cost:
    return cost_of([sys.executable, "-c", RUN, *arguments], **place(folder))


def place(folder: Path) -> Place:
    """Return the working folder and environment of the programs in this module."""
    return {"cwd": folder, "env": clean_environment() | {"PYTHONPATH": str(ROOT)}}
