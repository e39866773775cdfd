"""The types of the public Python interface, checked by mypy in the checkout and with the installed wheel.

This file is never run. mypy reports an unused `type: ignore`, so the lines that have one must be type errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import mcprun


async def check_run_batch(run_stop: mcprun.RunStop, options: mcprun.Options) -> None:
    """Check the parameters and the result of `run_batch`."""
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


def check_compare_runs(head: mcprun.Run) -> None:
    """Check the parameters and the result of `compare_runs`."""
    differences = mcprun.compare_runs("baseline", head.path, mcprun.CompareOptions(), alpha=0.01)
    assert_type(differences, mcprun.Differences)
    assert_type(differences.queries, tuple[mcprun.QueryDiff, ...])
    assert_type(differences.tools, tuple[mcprun.ToolChange, ...])
    assert_type(differences.summary, mcprun.DiffSummary)
    mcprun.compare_runs("baseline")  # type: ignore[call-arg]


def check_measure_coverage(run: mcprun.Run) -> None:
    """Check the parameters and the result of `measure_coverage`."""
    coverage = mcprun.measure_coverage([run, "outputs/nightly", Path("run")])
    assert_type(coverage, mcprun.Coverage)
    assert_type(coverage.tools, tuple[mcprun.ToolCoverage, ...])
    assert_type(coverage.tools[0].arguments, tuple[mcprun.ArgumentCoverage, ...])
    assert_type(coverage.covered.value, float | None)
    mcprun.measure_coverage(run)
    mcprun.measure_coverage(1)  # type: ignore[arg-type]


def check_measure_routing(run: mcprun.Run) -> None:
    """Check the parameter and the result of `measure_routing`."""
    routing = mcprun.measure_routing(run)
    assert_type(routing, mcprun.Routing)
    assert_type(routing.matrix, mcprun.RoutingMatrix)
    assert_type(routing.matrix.tools, list[mcprun.ToolRouting])
    assert_type(routing.matrix.accuracy.share, float | None)
    mcprun.measure_routing([run])  # type: ignore[arg-type]


def check_errors(error: mcprun.UsageError) -> str:
    """Check that a `UsageError` is an `McprunError`."""
    base: mcprun.McprunError = error
    return str(base)
