"""The conditions of a run, which a baseline keeps, and how those of two runs differ."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.runs.conditions import condition_difference, kept_arguments, kept_limits
from mcprun.runs.run_record import ModelRecord, PromptsRecord, RunRecord


def record(concurrency: int | None = 8, **arguments: Any) -> RunRecord:
    """Return the record of a run with these arguments."""
    return RunRecord(
        state="finished", started="2026-11-22T10:00:00.000Z", arguments=arguments,
        prompts=PromptsRecord(file="p.jsonl", sha256="0" * 64, queries=1),
        model=ModelRecord(kind="script", name="script", chosen="a test"),
        limits={} if concurrency is None else {"concurrency": concurrency, "max_turns": 9}, versions={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("base", "head", "expected"),
    [
        (record(), record(), ""),
        (record(1, fresh_server=True), record(1, fresh_server=True), ""),
        (record(1, fresh_server=True), record(), "with --fresh-server and --concurrency 1"),
        (record(), record(scratch=True), "without --scratch"),
        (record(1), record(fresh_server=True), "with --concurrency 1 and without --fresh-server"),
        (record(servers=4), record(), "with --servers 4"),
        (record(), record(servers=4), "with --servers 1"),
        (record(scrub=["uuid", "tmp"]), record(scrub=["tmp", "port"]), "with --scrub uuid"),
        (record(ignore="a", ignore_order=["b"]), record(), "with --ignore a and --ignore-order b"),
        (record(), record(scrub=["uuid"]), ""),
        (record(None, fresh_server=True), record(), ""),
        (record(system="Be kind.", model="script"), record(limit=5), ""),
    ],
)
def test_conditions_that_differ_are_named_in_one_line(base: RunRecord, head: RunRecord, expected: str) -> None:
    """What the base had and the run lacks is named, and switches that only the run has. Unknown conditions are equal."""
    message = f"baseline was recorded {expected}; this run was not" if expected else ""
    assert condition_difference(base, head, "baseline") == message


def test_a_baseline_keeps_the_conditions_of_its_run_and_nothing_of_the_machine() -> None:
    """Only the conditions are kept: no path, no secret, and none of the other limits."""
    given = {"fresh_server": True, "scrub": ["uuid"], "cwd": "/home/x", "env": ["A=[redacted]"], "server": "s.py"}
    run = record(1, **given)
    assert kept_arguments(run) == {"fresh_server": True, "scrub": ["uuid"]}
    assert kept_limits(run) == {"concurrency": 1}
    assert kept_limits(record(None)) == {}
