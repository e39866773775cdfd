"""The outcome of a run in one line: why its exit code is not 0."""

from __future__ import annotations

from collections.abc import Iterator

from mcprun.errors import NOT_STARTED, ErrorKind, ExitCode
from mcprun.report.repeats import below_rate, query_counts
from mcprun.report.text import one_line, plural
from mcprun.runs.run_record import ComparedCounts, Counts, RunRecord

_WORDS = {
    ExitCode.FAILED: "FAILED",
    ExitCode.ERROR: "ERROR",
    ExitCode.INTERRUPTED: "INTERRUPTED",
}

COVERAGE_NOT_EVALUATED = "the coverage of the run was not evaluated"
"""Why a finished run is an error if it has coverage gates without an outcome."""

_MESSAGE = 300
"""Maximum number of characters of an error's message."""


def outcome(record: RunRecord, counts: Counts) -> str:
    """Return the outcome of a run, such as `FAILED: 1 failed, 2 regressions`; empty if it passed."""
    code = record.exit_code
    if code is ExitCode.PASSED:
        return ""
    return f"{_WORDS[code]}: {', '.join(_reasons(record, counts, code))}"


def early_end(record: RunRecord, counts: Counts) -> str:
    """Return that a run ended early, why, and how many queries it left; empty if it did everything."""
    left = max(0, record.prompts.runs - counts.done - counts.ungraded)
    verb = "was" if left == 1 else "were"
    left_out = f"{left:,} of {record.prompts.runs:,} {verb} not run" if left else ""
    if record.error and (left or record.state != "finished"):
        was_started = counts.done or (record.server and record.error.kind not in NOT_STARTED)
        end = "Stopped early" if was_started else "Not started"
        sentences = [f"{end}: {record.error.message}".rstrip("."), left_out]
    elif record.state != "finished":
        sentences = [f"The run has not finished (state: {record.state})", left_out]
    else:
        all_queries = plural(record.prompts.runs, record.prompts.unit)
        sentences = [f"{left:,} of {all_queries} {verb} not run" if left else ""]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def regression_counts(compared: ComparedCounts) -> Iterator[str]:
    """Yield how many queries regressed from the baseline, `2 regressions`, and how many breaking changes tools have."""
    if queries := compared.regressions - compared.breaking:
        yield plural(queries, "regression")
    if compared.breaking:
        yield plural(compared.breaking, "breaking tool change")


def _reasons(record: RunRecord, counts: Counts, code: ExitCode) -> Iterator[str]:
    if code is ExitCode.INTERRUPTED:
        yield f"{counts.done:,} of {plural(record.prompts.runs, record.prompts.unit)} finished"
    queries = query_counts(record, counts)
    if queries.failed:
        yield f"{queries.failed:,} failed"
    if queries.below:
        yield below_rate(record)
    if record.baseline and record.baseline.compared:
        yield from regression_counts(record.baseline.compared)
    if record.coverage and record.coverage.outcome and record.coverage_failures:
        yield f"coverage {record.coverage.outcome.covered:,} of {plural(record.coverage.outcome.tools, 'tool')}"
    if code is ExitCode.INTERRUPTED:
        return
    if counts.error:
        yield plural(counts.error, "error")
    if counts.not_run:
        yield f"{counts.not_run:,} skipped"
    is_whole = record.state == "finished" and record.error and record.error.kind is ErrorKind.OUTPUT
    if is_whole and record.error:  # of the comparison with a baseline, or of its update
        yield one_line(record.error.message, _MESSAGE)
        return
    if record.lacks_comparison:
        yield "not compared with the baseline"
    if record.lacks_coverage:
        yield "coverage not evaluated"
    if record.error and not counts.error:
        yield f"the run {'stopped early' if counts.done else 'did not start'} ({record.error.kind})"
    elif record.state != "finished" and not counts.error and not counts.not_run:
        all_runs, left = plural(record.prompts.runs, record.prompts.unit), record.prompts.runs - counts.done
        yield f"{left:,} of {all_runs} did not finish" if left else "shards are missing"
