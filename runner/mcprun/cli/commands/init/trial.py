"""Try the generated queries of a server, so that errors are known before the queries are used."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace

from mcprun.engine.plan import Options, make_plan
from mcprun.engine.run import execute
from mcprun.errors import ErrorKind, RunError
from mcprun.prompts.generate import FirstPrompts, mark_failures
from mcprun.runs.events import Event
from mcprun.runs.run import Run

_TIMES = 2
"""Number of times each query is tried: one that works only once would fail the next run."""


async def run_trial(
    first: FirstPrompts, server: str, options: Options, watch: Callable[[Event], None] = lambda _: None
) -> FirstPrompts:
    """Run each query from its script twice, and return the prompts with failures marked. The run itself is deleted.

    Each query has a server of its own, so that none depends on another. `watch` is called with each event.
    Raises `RunError` if the run can't be started or was cancelled.
    """
    with tempfile.TemporaryDirectory(prefix="mcprun-") as folder:
        trial_options = replace(options, model="script", repeat=_TIMES, fresh_server=True, out=folder)
        plan = replace(make_plan(first.queries, server, trial_options), is_latest=False)
        with plan.prompts:
            result = await execute(plan, watch)
        run = Run(result.path, result.record)
        error = run.record.error
        if error and (error.kind is ErrorKind.CANCELLED or not (run.record.counts and run.record.counts.done)):
            raise RunError(error.kind, error.message)
        return mark_failures(first, run.transcripts())
