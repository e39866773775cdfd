"""Try the generated queries of a server, so that errors are known before the queries are used."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace

from mcprun._util.json_value import JsonObject
from mcprun.engine.plan import Options, make_plan
from mcprun.engine.run import execute
from mcprun.errors import ErrorKind, RunError
from mcprun.prompts.generate import FirstPrompts, mark_failures
from mcprun.runs.events import Event
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript

_TIMES = 2
"""Number of times each query is tried: one that works only once would fail the next run."""


async def run_trial(
    first: FirstPrompts, server: str, options: Options, watch: Callable[[Event], None] = lambda _: None
) -> FirstPrompts:
    """Run the queries from their scripts twice, and return the prompts with failures marked.

    `watch` is called with each event. Raises `RunError` if a run can't be started or was cancelled.
    """
    transcripts = [one for _ in range(_TIMES) for one in await _run(first.queries, server, options, watch)]
    return mark_failures(first, transcripts)


async def _run(
    queries: Iterable[JsonObject], server: str, options: Options, watch: Callable[[Event], None]
) -> list[Transcript]:
    """Run queries one at a time, each on a new server, and return their transcripts. The run itself is deleted."""
    limits = replace(options.limits, concurrency=1)
    with tempfile.TemporaryDirectory(prefix="mcprun-") as folder:
        trial_options = replace(options, model="script", fresh_server=True, limits=limits, out=folder)
        plan = replace(make_plan(queries, server, trial_options), is_latest=False)
        with plan.prompts:
            result = await execute(plan, watch)
        run = Run(result.path, result.record)
        error = run.record.error
        if error and (error.kind is ErrorKind.CANCELLED or not (run.record.counts and run.record.counts.done)):
            raise RunError(error.kind, error.message)
        return list(run.transcripts())
