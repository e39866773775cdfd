"""Compare a run with its baseline, and record the outcome in the run directory, where every report reads it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

from mcprun._util.json_io import dump_indented, open_fresh, write_file
from mcprun._util.json_value import JsonObject
from mcprun.analysis.coverage.changes import diff_coverage
from mcprun.analysis.diff.json_lines import as_json
from mcprun.analysis.diff.runs import QueryDiff, RunDiff
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.routing.changes import check_kinds, diff_routing
from mcprun.analysis.volatile.findings import Findings
from mcprun.engine.baseline import Baseline
from mcprun.engine.run import RunPlan, RunResult
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.runs.directory import DIFFERENCES, RUN
from mcprun.runs.run_record import BaselineRecord, ComparedCounts, RunRecord
from mcprun.runs.transcript import ErrorInfo
from mcprun.runs.transcript_files import open_transcripts, repeated


def compare_with_baseline(result: RunResult, plan: RunPlan) -> RunResult:
    """Compare a run that has ended with its baseline, if it has one, and return it with the outcome recorded.

    `differences.jsonl` is written first, and `run.json` replaced last, so that a run counts as compared only if both
    are whole. A run that was cancelled is not compared. If comparing fails, the returned run ended in an error.
    """
    error = result.error
    if plan.baseline is None or (error and error.kind is ErrorKind.CANCELLED):
        return result
    try:
        compared = _compare(plan.baseline, result.path, plan)
        before = result.record.baseline or BaselineRecord(path=plan.redactor.text(plan.baseline.name))
        record = result.record.model_copy(update={"baseline": before.model_copy(update={"compared": compared})})
        write_file(result.path / RUN, dump_indented(record.line()))
    except (UsageError, OSError) as problem:
        reason = f"can't write {problem.filename}: {problem.strerror}" if isinstance(problem, OSError) else str(problem)
        failed = RunError(ErrorKind.OUTPUT, f"the run could not be compared with {plan.baseline.name}: {reason}")
        return replace(result, record=_with_error(result.record, failed), error=error or failed)
    return replace(result, record=record)


def record_failed_update(result: RunResult, message: str) -> RunResult:
    """Return a run whose baseline could not be updated: it ended in an error, unless it already had one.

    The error is recorded in the run directory, for every report. A full disk loses it there.
    """
    record = _with_error(result.record, RunError(ErrorKind.OUTPUT, message))
    with suppress(UsageError, OSError):
        write_file(result.path / RUN, dump_indented(record.line()))
    return replace(result, record=record)


def _compare(baseline: Baseline, path: Path, plan: RunPlan) -> ComparedCounts:
    """Write the differences between a baseline and a run, and return their counts."""
    among = plan.prompts.digests if plan.prompts.select.is_choosy else None
    staged = path / f"{DIFFERENCES}.new"
    with ExitStack() as stack:
        base, head = (stack.enter_context(open_transcripts(str(one))) for one in (baseline.path, path))
        found = Findings.between(base.run, head.run, plan.scrubber, plan.redactor.text(baseline.name))
        options = CompareOptions(scrubber=plan.scrubber)
        comparison = RunDiff(options, among, repeated(base, head), baseline.alpha, observe=found.observe)
        tools = comparison.tools(base.tools, head.tools)
        lines: Iterable[QueryDiff | JsonObject] = chain(
            found.watch(comparison.compare(base, head)), [{"tools": tools}] if tools else []
        )
        file = stack.enter_context(open_fresh(staged))
        file.writelines(f"{as_json(line)}\n".encode(errors="replace") for line in lines)
        if comparison.moved:
            file.write(f"{as_json({'moved': comparison.moved})}\n".encode(errors="replace"))
        # A selection of queries covers less than the baseline does.
        if among is None and (coverage := diff_coverage(base.run, head.run)):
            file.write(f"{as_json({'coverage': coverage})}\n".encode(errors="replace"))
        if check_kinds(base, head, (baseline.name, plan.redactor.text(str(path)))) and (
            routing := diff_routing(base, head, baseline.alpha, among)
        ):
            file.write(f"{as_json({'routing': routing})}\n".encode(errors="replace"))
        if volatile := found.summary():
            file.write(f"{as_json({'volatile': volatile})}\n".encode(errors="replace"))
        file.write(f"{as_json({'totals': comparison.summary})}\n".encode())
    staged.replace(path / DIFFERENCES)
    return ComparedCounts.model_validate(asdict(comparison.summary))


def _with_error(record: RunRecord, error: RunError) -> RunRecord:
    info = record.error or ErrorInfo(kind=error.kind, message=str(error))
    return record.model_copy(update={"error": info})
