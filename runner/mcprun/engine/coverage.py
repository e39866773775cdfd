"""Evaluate the coverage gates of a run that has finished, and record the outcome in the run directory."""

from __future__ import annotations

from pathlib import Path

from mcprun._util.json_io import dump_indented, write_file
from mcprun.analysis.coverage.gates import CoverageGates, evaluate_gates
from mcprun.analysis.coverage.measure import measure_coverage
from mcprun.engine.run import RunResult
from mcprun.engine.run_outcome import with_outcome
from mcprun.runs.directory import RUN
from mcprun.runs.run import Run
from mcprun.runs.run_record import RunRecord


def check_coverage(result: RunResult) -> RunResult:
    """Evaluate the coverage gates of a run, if it has any, and return it with the outcome recorded.

    A run that has not finished is not evaluated, and neither is a shard. If evaluating fails, the returned run ended in
    an error.
    """
    return with_outcome(result, with_coverage, "the coverage of the run could not be evaluated")


def with_coverage(path: Path, record: RunRecord) -> RunRecord:
    """Return the record of the run at `path` with the outcome of its gates, and replace `run.json` by it.

    Raises `UsageError` if the run can't be read, `OSError` if `run.json` can't be written.
    """
    gates = record.coverage
    if gates is None or record.state != "finished" or record.prompts.shard is not None:
        return record
    found = evaluate_gates(measure_coverage([Run(path, record)]), CoverageGates.of(gates))
    evaluated = record.model_copy(update={"coverage": gates.model_copy(update={"outcome": found.record()})})
    write_file(path / RUN, dump_indented(evaluated.line()))
    return evaluated
