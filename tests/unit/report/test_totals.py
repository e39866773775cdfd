"""Totals of a run: one row where it fits, never wider than the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from mcprun.report.totals import totals
from mcprun.runs.run import Run
from mcprun.runs.run_record import Counts, ModelRecord, PromptsRecord, RunRecord
from mcprun.runs.transcript import Usage


def lines_of(width: int, counts: Counts, kind: str = "replay", seconds: float = 1.5) -> list[str]:
    """Return the lines of a run's totals, as printed at a width in columns, without spaces at their ends."""
    record = RunRecord(
        state="finished",
        started="2026-11-22T10:00:00.000Z",
        seconds=seconds,
        arguments={},
        prompts=PromptsRecord(file="p.jsonl", sha256="0" * 64, queries=1),
        model=ModelRecord.model_validate({"kind": kind, "name": kind, "chosen": "a test"}),
        limits={},
        versions={},
        counts=counts,
    )
    console = Console(file=io.StringIO(), width=width)
    console.print(totals(Run(Path("run"), record), console))
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue().splitlines()
    assert all(len(line) <= width for line in printed)
    return [" ".join(line.split()) for line in printed if line.strip(" ─")]


ALL = "passed failed error skipped calls tool errors diverged turns run time"


def test_a_replay_fits_80_columns_with_its_divergences() -> None:
    """In 80 columns, the row of a replay holds `diverged`."""
    assert lines_of(80, Counts(passed=6, calls=9, diverged=2, turns=15)) == [ALL, "6 0 0 0 9 0 2 15 1.5 s"]


@pytest.mark.parametrize(
    ("kind", "names", "below"),
    [
        ("claude", ALL.replace("diverged ", ""), "tokens in/out 12,345 / 678, cached input 25 %"),
        ("replay", ALL, "recorded tokens in/out 12,345 / 678, cached input 25 %"),
    ],
)
def test_tokens_are_on_a_line_below_if_the_row_would_be_too_wide(kind: str, names: str, below: str) -> None:
    """In 80 columns, the tokens of a model are below the row of counts."""
    usage = Usage(input_tokens=9_259, cache_read_input_tokens=3_086, output_tokens=678)
    first, _, last = lines_of(80, Counts(passed=6, usage=usage), kind)
    assert (first, last) == (names, below)


def test_a_long_run_fits_80_columns() -> None:
    """In 80 columns, a run of hours with tens of thousands of calls still has one row; its time is below."""
    counts = Counts(passed=12_345, failed=1, error=2, skipped=3, calls=23_456, tool_errors=4, diverged=5, turns=34_567)
    assert lines_of(80, counts, seconds=7_500) == [
        ALL.removesuffix(" run time"),
        "12,345 1 2 3 23,456 4 5 34,567",
        "run time 2 h 05 min",
    ]


def test_counts_of_zero_are_left_out_of_a_narrow_terminal() -> None:
    """In 40 columns, only counts above zero have a place in the row."""
    counts = Counts(passed=6, calls=9, turns=15)
    assert lines_of(40, counts) == ["passed calls turns", "6 9 15", "run time 1.5 s"]


@pytest.mark.parametrize("width", range(20, 130))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """At any width, the totals of a run with large counts fit, and the number of failures is among them."""
    usage = Usage(input_tokens=1_234_567_890, output_tokens=123_456_789)
    counts = Counts(
        passed=10_000_000, failed=17, error=18, skipped=19, calls=20_000_000, diverged=21, turns=30_000_000, usage=usage
    )
    assert "17" in " ".join(lines_of(width, counts, "claude")).split()
