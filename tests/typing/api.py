"""The types of the Python interface, as mypy sees them: of the checkout, and of the installed wheel.

This is checked and never run. Where a line must be wrong, mypy reports it if it is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import mcprun


async def running(run_stop: mcprun.RunStop, options: mcprun.Options) -> None:
    """What `run_batch` takes and gives."""
    run = await mcprun.run_batch("prompts.jsonl", "server.py", options, watch=lambda event: None, run_stop=run_stop)
    assert_type(run, mcprun.Run)
    assert_type(run.path, Path)
    for transcript in run.transcripts():
        assert_type(transcript, mcprun.Transcript)
        assert_type(transcript.verdict, mcprun.Verdict)
        assert_type(transcript.calls, list[mcprun.Call])
    await mcprun.run_batch([{"prompt": "Hello"}], Path("server.py"), resume=run)
    await mcprun.run_batch(1, "server.py")  # type: ignore[arg-type]
    await mcprun.run_batch("prompts.jsonl")  # type: ignore[call-arg]
    mcprun.Options(model=1)  # type: ignore[arg-type]


def comparing(head: mcprun.Run) -> None:
    """What `compare_runs` takes and gives."""
    differences = mcprun.compare_runs("baseline", head.path, mcprun.CompareOptions(), alpha=0.01)
    assert_type(differences, mcprun.Differences)
    assert_type(differences.queries, tuple[mcprun.QueryDiff, ...])
    assert_type(differences.tools, tuple[mcprun.ToolChange, ...])
    assert_type(differences.summary, mcprun.DiffSummary)
    mcprun.compare_runs("baseline")  # type: ignore[call-arg]


def going_wrong(error: mcprun.UsageError) -> str:
    """What is raised is an `McprunError`."""
    base: mcprun.McprunError = error
    return str(base)
