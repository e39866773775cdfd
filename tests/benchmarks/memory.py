"""How memory grows with the number of queries: the peak of a long run against that of a short one.

Scripts against a server in the same process, so that nothing but mcprun is measured; and how soon a run that is nearly
done is resumed.
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
"""Every line of the prompts file and of the transcripts is checked; reading them is what it is held against."""

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
    """What `Popen` takes."""

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
    """Measure once whatever the rounds: a long run is long, and its memory hardly varies."""
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
    """Undo the end of a run of so many queries, and go on with it."""
    run = folder / f"run-{queries}"
    record = json.loads((run / "run.json").read_bytes())
    (run / "run.json").write_text(json.dumps({**record, "state": "started", "counts": None}))
    transcripts = run / "transcripts.jsonl"
    with transcripts.open("rb") as lines:
        kept = sum(len(line) for line in itertools.islice(lines, queries - SHORT))
    os.truncate(transcripts, kept)
    return _python(folder, str(folder / f"prompts-{queries}-1.jsonl"), str(folder / "unused"), str(run))


def _python(folder: Path, *arguments: str) -> Cost:
    return cost_of([sys.executable, "-c", RUN, *arguments], **place(folder))


def place(folder: Path) -> Place:
    """Return the folder and the variables with which the programs of this module are run."""
    return {"cwd": folder, "env": clean_environment() | {"PYTHONPATH": str(ROOT)}}
