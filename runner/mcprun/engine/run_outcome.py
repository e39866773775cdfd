"""Add what was concluded from a finished run to its `run.json`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mcprun.engine.run import RunResult
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.runs.run_record import RunRecord
from mcprun.runs.transcript import ErrorInfo


def with_outcome(result: RunResult, conclude: Callable[[Path, RunRecord], RunRecord], failure: str) -> RunResult:
    """Return a run with the record that `conclude` returns for its directory and its record.

    If that raises `UsageError` or `OSError`, the returned run ended in an error, whose message begins with `failure`.
    """
    try:
        return replace(result, record=conclude(result.path, result.record))
    except (UsageError, OSError) as problem:
        reason = f"can't write {problem.filename}: {problem.strerror}" if isinstance(problem, OSError) else str(problem)
        failed = RunError(ErrorKind.OUTPUT, f"{failure}: {reason}")
        info = result.record.error or ErrorInfo(kind=failed.kind, message=str(failed))
        record = result.record.model_copy(update={"error": info})
        return replace(result, record=record, error=result.error or failed)
