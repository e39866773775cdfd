"""A finished run whose files disagree with its `run.json` is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcprun import UsageError, compare_runs
from mcprun.runs.run import Run
from tests.support.cli import write_jsonl
from tests.support.damaged_runs import (
    QUERIES,
    RECORD,
    TRANSCRIPTS,
    edit_record,
    lines_of,
    repeat_line,
    replace_line,
    run,
    stray_line,
    tear_last,
    write_lines,
)
from tests.support.runs import event

__all__ = ["run"]

NEWER = r"was written by a newer version of mcprun \(its schema is 99, and this version reads up to 1\): upgrade mcprun"


def edit_line(path: Path, **changes: Any) -> None:
    first, *others = lines_of(path)
    write_lines(path, json.dumps({**json.loads(first), **changes}).encode() + b"\n", *others)


def tear_middle(path: Path) -> None:
    first, second, third = lines_of(path)
    write_lines(path, first, second[:-30] + b"}\n", third)


def join_middle(path: Path) -> None:
    first, second, third = lines_of(path)
    write_lines(path, first, second[:-30], third)


def add_torn(path: Path) -> None:
    write_lines(path, *lines_of(path), b'{"schema":1,"id":"d"')


def change_verdict(path: Path) -> None:
    first, second, third = lines_of(path)
    write_lines(path, first.replace(b'"verdict":"passed"', b'"verdict":"failed"'), second, third)


def replace_with_folder(path: Path) -> None:
    (path / TRANSCRIPTS).unlink()
    (path / TRANSCRIPTS).mkdir()


def drop_counts(path: Path) -> None:
    edit_record(path, counts=None)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: write_lines(path), "complete lines: run.json counts 3, but the file has 0"),
        (tear_last, "complete lines: run.json counts 3, but the file has 2"),
        (tear_middle, f"{TRANSCRIPTS} has a line that is not a transcript"),
        (join_middle, f"{TRANSCRIPTS} has a line that is not a transcript"),
        (add_torn, "its last line is incomplete"),
        (repeat_line, "lines 1 and 4 are both 'a', repeat 1"),
        (replace_line, "lines 1 and 3 are both 'a', repeat 1"),
        (stray_line, "line 3 is 'z', which is not a query of the run"),
        (change_verdict, "run.json counts 2 that passed, but the file has 1"),
        (drop_counts, "run.json says that the run has ended, but has no counts"),
        (replace_with_folder, f"{TRANSCRIPTS} is a folder, not a regular file"),
        (lambda path: (path / TRANSCRIPTS).unlink(), f"{TRANSCRIPTS}: No such file"),
        (
            lambda path: (path / QUERIES).write_bytes(b""),
            f"{QUERIES} is damaged: run.json counts 3 queries, but this file has 0",
        ),
        (lambda path: (path / RECORD).write_bytes(b""), f"{RECORD} is damaged: it is an empty file; restore it"),
        (lambda path: (path / RECORD).write_bytes(b'{"schema": 1'), f"{RECORD} is damaged: it is incomplete JSON"),
        (lambda path: (path / RECORD).unlink(), f"is not a run: it has no {RECORD}"),
        (lambda path: edit_record(path, state="done"), f"{RECORD} is damaged: state is 'done', not 'started', "),
        (
            lambda path: edit_record(path, counts={"passed": "x"}),
            f"{RECORD} is damaged: counts.passed is text, not a whole number; restore it from a copy, or run the queries",
        ),
        (lambda path: edit_record(path, model=None), f"{RECORD} is damaged: model is null, not an object; "),
        (lambda path: edit_record(path, prompts={}), f"{RECORD} is damaged: prompts.file is missing; "),
        (lambda path: (path / RECORD).write_bytes(b"[]"), f"run is not a run of mcprun: its {RECORD} is a list$"),
        (
            lambda path: (path / RECORD).write_bytes(b"{"),
            rf"{RECORD} is damaged: it is incomplete JSON \(it ends at line 1, column 1\); ",
        ),
        (lambda path: edit_record(path, schema="1"), f"{RECORD} is damaged: schema is text, not a whole number; "),
        (lambda path: edit_record(path, schema=True), f"{RECORD} is damaged: schema is true, not a whole number; "),
        (lambda path: edit_record(path, schema=99, needs_mcprun="9.1"), f"{RECORD} {NEWER} to 9.1 or later$"),
        (
            lambda path: edit_record(path, schema=99, needs_mcprun=None, versions={"mcprun": "9.2.0rc1"}),
            f"{RECORD} {NEWER} to 9.2.0rc1 or later$",
        ),
        (lambda path: edit_record(path, schema=99, needs_mcprun="\x1b[31m", versions=[]), f"{RECORD} {NEWER}$"),
        (
            lambda path: edit_record(path, schema=10**400, state="done", new={}),
            f"{RECORD} was written by a newer version",
        ),
        (lambda path: edit_line(path, schema=99), f"{TRANSCRIPTS} {NEWER}$"),
        (lambda path: edit_line(path, calls=3), f"{TRANSCRIPTS} has a line .*: calls is a number, not a list$"),
        (lambda path: write_jsonl(path / QUERIES, {"id": "a"}), f"can't read .*{QUERIES}: digest is missing$"),
    ],
)
def test_damage_is_reported_with_its_file(run: Path, damage: Callable[[Path], None], expected: str) -> None:
    """Lost, added and changed data are errors. An intact run is read."""
    assert len(list(Run.read(str(run)).transcripts())) == 3
    damage(run)
    with pytest.raises(UsageError, match=expected):
        Run.read(str(run))


def test_run_of_an_older_version_is_read(run: Path) -> None:
    """A `run.json` without a format number is one of the first format."""
    record = json.loads((run / RECORD).read_bytes())
    older = {key: value for key, value in record.items() if key not in ("schema", "needs_mcprun")}
    (run / RECORD).write_text(json.dumps(older))
    assert len(list(Run.read(str(run)).transcripts())) == 3


def test_record_of_another_format_names_the_version_that_reads_it(run: Path) -> None:
    """A newer `run.json` needs no key of today's, apart from the format and the version."""
    (run / RECORD).write_text(json.dumps({"schema": 99, "needs_mcprun": "9.1"}))
    with pytest.raises(UsageError, match=f"{RECORD} {NEWER} to 9.1 or later$"):
        Run.read(str(run))


@pytest.mark.parametrize("damage", [tear_last, repeat_line, change_verdict])
def test_interrupted_run_is_checked_against_its_counts(run: Path, damage: Callable[[Path], None]) -> None:
    """An interrupted run is read, unless its transcripts no longer match its counts."""
    edit_record(run, state="interrupted")
    assert len(list(Run.read(str(run)).transcripts())) == 3
    damage(run)
    with pytest.raises(UsageError, match="is damaged"):
        Run.read(str(run))


def test_truncated_transcripts_file_is_not_compared(run: Path) -> None:
    """Without a run, only an incomplete last line reveals missing data."""
    copied = run.parent / "alone.jsonl"
    shutil.copy(run / TRANSCRIPTS, copied)
    assert compare_runs(run, copied).summary.same == 3
    copied.write_bytes(copied.read_bytes()[:-30])
    with pytest.raises(UsageError, match=r"alone\.jsonl is damaged: its last line is incomplete"):
        compare_runs(run, copied)


@pytest.mark.parametrize(
    "line", ['{"event":"query_end","at":"2026-01-01T00:00:00Z","seconds":' + "9" * 400 + "}", "[]", '"x"']
)
def test_damaged_trace_is_reported(run: Path, line: str) -> None:
    """A line that is not an event raises an error with the name of the file."""
    valid_line = json.dumps(event("run_start", 0, queries=1, done=0, model="script", chosen="x"))
    (run / "trace.jsonl").write_text(f"{valid_line}\n{line}\n")
    with pytest.raises(UsageError, match=r"trace\.jsonl has a line that is not an event"):
        list(Run.read(str(run)).events())


@pytest.mark.parametrize(
    ("has_queries", "arguments", "remedy"),
    [
        (True, {"prompts": "p.jsonl", "server": "s.py"}, "repair it with mcprun batch --resume run"),
        (True, {"server": "s.py"}, "to run its prompts again, use mcprun batch run/prompts.jsonl SERVER"),
        (False, {"server": "s.py"}, "restore the baseline, or replace it with mcprun bless RUN run --force"),
    ],
    ids=["run", "chat", "baseline"],
)
def test_damage_message_has_a_remedy(
    run: Path, monkeypatch: pytest.MonkeyPatch, has_queries: bool, arguments: dict[str, str], remedy: str
) -> None:
    """Only a run is repaired with `--resume`, since a baseline and a chat cannot be resumed."""
    monkeypatch.chdir(run.parent)
    edit_record(run, arguments=arguments)
    if not has_queries:
        (run / QUERIES).unlink()
    tear_last(run)
    with pytest.raises(UsageError) as raised:
        Run.read("run")
    assert str(raised.value).endswith(f"the file has 2; {remedy}")
