"""Why a run did not pass, in one line."""

from __future__ import annotations

import pytest

from mcprun.report.outcome import early_end, regression_counts
from mcprun.runs.run_record import ComparedCounts, Counts, ModelRecord, PromptsRecord, RunRecord, ServerRecord
from mcprun.runs.transcript import ErrorInfo

SERVER = ServerRecord(protocol="2025-11-25", tools=[])


def record(state: str, kind: str = "", message: str = "", server: ServerRecord | None = None) -> RunRecord:
    """Return the record of a run of 54 queries."""
    return RunRecord(
        state=state, started="2026-11-22T10:00:00Z", arguments={}, limits={}, versions={},
        prompts=PromptsRecord(file="p.jsonl", sha256="", queries=54, runs=54),
        model=ModelRecord(kind="script", name="script", chosen="named"),
        error=ErrorInfo.model_validate({"kind": kind, "message": message}) if kind else None, server=server,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "counts", "sentence"),
    [
        (
            record("interrupted", "budget", "10 queries did not pass (limit `--max-failures 9`)"),
            Counts(passed=20, failed=9, error=1, skipped=24),
            "Stopped early: 10 queries did not pass (limit `--max-failures 9`). 24 of 54 were not run.",
        ),
        (
            record("interrupted", "server_start", "the server exited before it responded."),
            Counts(skipped=54),
            "Not started: the server exited before it responded. 54 of 54 were not run.",
        ),
        (
            record("interrupted", "cancelled", "interrupted by SIGINT"),
            Counts(passed=54),
            "Stopped early: interrupted by SIGINT.",
        ),
        (
            record("interrupted", "cancelled", "interrupted by SIGINT", SERVER),
            Counts(skipped=54),
            "Stopped early: interrupted by SIGINT. 54 of 54 were not run.",
        ),
        (
            record("interrupted", "api_refused", "the key is invalid", SERVER),
            Counts(skipped=54),
            "Not started: the key is invalid. 54 of 54 were not run.",
        ),
        (record("started"), Counts(passed=50), "The run has not finished (state: started). 4 of 54 were not run."),
        (record("finished"), Counts(passed=50, skipped=4), "4 of 54 queries were not run."),
        (record("finished", "output", "can't write differences.jsonl"), Counts(passed=54), ""),
        (record("finished"), Counts(passed=50, failed=4), ""),
    ],
)
def test_an_early_end_says_why_and_how_many_queries_it_left(run: RunRecord, counts: Counts, sentence: str) -> None:
    """It is empty if every query was run, whatever their verdicts."""
    assert early_end(run, counts) == sentence


@pytest.mark.parametrize(
    ("regressions", "breaking", "parts"),
    [(0, 0, []), (2, 0, ["2 regressions"]), (3, 2, ["1 regression", "2 breaking tool changes"])],
)
def test_breaking_changes_of_tools_are_no_regressions_of_queries(
    regressions: int, breaking: int, parts: list[str]
) -> None:
    """`run.json` counts both together; reports name each."""
    counts = dict.fromkeys(("same", "changed", "added", "removed", "chance", "fewer"), 0)
    assert list(regression_counts(ComparedCounts(**counts, regressions=regressions, breaking=breaking))) == parts
