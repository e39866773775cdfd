"""A finished run whose files are not what its `run.json` counts is refused by all that reads it, and repaired by `--resume`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcprun import UsageError, compare_runs
from mcprun.runs.run import Run
from tests.support.cli import RAW, run_mcprun, script, write_jsonl
from tests.support.runs import event, failed, transcript, write_run

TRANSCRIPTS, RECORD, QUERIES = "transcripts.jsonl", "run.json", "queries.jsonl"


NEWER = (
    r"was written by a newer version of mcprun \(its schema is 99, and this version reads up to 1\): upgrade mcprun$"
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Write a finished run of three queries, as a process leaves it."""
    path = write_run(tmp_path / "run", [transcript("a"), failed("b", "why"), transcript("c")])
    write_jsonl(path / QUERIES, *({"id": name, "digest": "0" * 16} for name in "abc"))
    return path


def lines_of(path: Path) -> list[bytes]:
    return (path / TRANSCRIPTS).read_bytes().splitlines(keepends=True)


def write_lines(path: Path, *lines: bytes) -> None:
    (path / TRANSCRIPTS).write_bytes(b"".join(lines))


def edit_record(path: Path, **changes: Any) -> None:
    record = json.loads((path / RECORD).read_bytes())
    (path / RECORD).write_text(json.dumps({**record, **changes}))


def edit_line(path: Path, **changes: Any) -> None:
    first, *others = lines_of(path)
    write_lines(path, json.dumps({**json.loads(first), **changes}).encode() + b"\n", *others)


def tear_last(path: Path) -> None:
    data = (path / TRANSCRIPTS).read_bytes()
    (path / TRANSCRIPTS).write_bytes(data[:-30])


def tear_middle(path: Path) -> None:
    first, second, third = lines_of(path)
    write_lines(path, first, second[:-30] + b"}\n", third)


def join_middle(path: Path) -> None:
    first, second, third = lines_of(path)
    write_lines(path, first, second[:-30], third)


def add_torn(path: Path) -> None:
    write_lines(path, *lines_of(path), b'{"schema":1,"id":"d"')


def repeat_line(path: Path) -> None:
    write_lines(path, *lines_of(path), lines_of(path)[0])


def replace_line(path: Path) -> None:
    first, second, _ = lines_of(path)
    write_lines(path, first, second, first)


def stray_line(path: Path) -> None:
    first, second, third = lines_of(path)
    write_lines(path, first, second, third.replace(b'"id":"c"', b'"id":"z"'))


def change_verdict(path: Path) -> None:
    first, second, third = lines_of(path)
    write_lines(path, first.replace(b'"verdict":"passed"', b'"verdict":"failed"'), second, third)


def folder_in_place(path: Path) -> None:
    (path / TRANSCRIPTS).unlink()
    (path / TRANSCRIPTS).mkdir()


def no_counts(path: Path) -> None:
    edit_record(path, counts=None)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda path: write_lines(path), "run.json counts 3 transcripts, but the file has 0 complete lines"),
        (tear_last, "run.json counts 3 transcripts, but the file has 2 complete lines"),
        (tear_middle, f"{TRANSCRIPTS} has a line that is not a transcript"),
        (join_middle, f"{TRANSCRIPTS} has a line that is not a transcript"),
        (add_torn, "its last line is incomplete"),
        (repeat_line, "lines 1 and 4 are both 'a', repeat 1"),
        (replace_line, "lines 1 and 3 are both 'a', repeat 1"),
        (stray_line, "line 3 is 'z', which is not a query of the run"),
        (change_verdict, "run.json counts 2 that passed, but the file has 1"),
        (no_counts, "run.json says that the run has ended, but has no counts"),
        (folder_in_place, f"{TRANSCRIPTS} is a folder, not a regular file"),
        (lambda path: (path / TRANSCRIPTS).unlink(), f"{TRANSCRIPTS}: No such file"),
        (
            lambda path: (path / QUERIES).write_bytes(b""),
            f"{QUERIES} is damaged: run.json counts 3 queries, but this file has 0",
        ),
        (lambda path: (path / RECORD).write_bytes(b""), f"can't read .*{RECORD}"),
        (lambda path: (path / RECORD).write_bytes(b'{"schema": 1'), f"can't read .*{RECORD}"),
        (lambda path: (path / RECORD).unlink(), f"is not a run: it has no {RECORD}"),
        (lambda path: edit_record(path, state="done"), f"{RECORD}: state is 'done', not 'started', "),
        (
            lambda path: edit_record(path, counts={"passed": "x"}),
            f"{RECORD}: counts.passed is text, not a whole number$",
        ),
        (lambda path: edit_record(path, model=None), f"{RECORD}: model is null, not an object$"),
        (lambda path: edit_record(path, prompts={}), f"{RECORD}: prompts.file is missing$"),
        (lambda path: (path / RECORD).write_bytes(b"[]"), f"{RECORD}: it is a list, not an object$"),
        (lambda path: (path / RECORD).write_bytes(b"{"), f"{RECORD}: not valid JSON: .* at line 1 column 1$"),
        (lambda path: edit_record(path, schema="1"), f"{RECORD}: schema is text, not a whole number$"),
        (lambda path: edit_record(path, schema=True), f"{RECORD}: schema is true, not a whole number$"),
        (lambda path: edit_record(path, schema=99), f"{RECORD} {NEWER}"),
        (
            lambda path: edit_record(path, schema=10**400, state="done", new={}),
            f"{RECORD} was written by a newer version",
        ),
        (lambda path: edit_line(path, schema=99), f"{TRANSCRIPTS} {NEWER}"),
        (lambda path: edit_line(path, calls=3), f"{TRANSCRIPTS} has a line .*: calls is a number, not a list$"),
        (lambda path: write_jsonl(path / QUERIES, {"id": "a"}), f"can't read .*{QUERIES}: digest is missing$"),
    ],
)
def test_each_damage_is_named_with_its_file(run: Path, harm: Callable[[Path], None], expected: str) -> None:
    """Whatever was lost, added or changed; an untouched run is read."""
    assert len(list(Run.read(str(run)).transcripts())) == 3
    harm(run)
    with pytest.raises(UsageError, match=expected):
        Run.read(str(run))


@pytest.mark.parametrize("harm", [tear_last, repeat_line, change_verdict])
def test_a_run_that_was_interrupted_is_counted_too(run: Path, harm: Callable[[Path], None]) -> None:
    """It is read as it is, unless something was lost since it ended."""
    edit_record(run, state="interrupted")
    assert len(list(Run.read(str(run)).transcripts())) == 3
    harm(run)
    with pytest.raises(UsageError, match="is damaged"):
        Run.read(str(run))


def test_a_file_of_transcripts_is_compared_whole_or_not_at_all(run: Path) -> None:
    """Without a run around it, only its end tells that something is missing."""
    alone = run.parent / "alone.jsonl"
    shutil.copy(run / TRANSCRIPTS, alone)
    assert compare_runs(run, alone).summary.same == 3
    alone.write_bytes(alone.read_bytes()[:-30])
    with pytest.raises(UsageError, match=r"alone\.jsonl is damaged: its last line is incomplete"):
        compare_runs(run, alone)


def test_a_run_that_goes_on_may_hold_anything(run: Path) -> None:
    """Its `run.json` does not count yet; a torn line is the one that is being written."""
    edit_record(run, state="started", counts=None)
    tear_last(run)
    assert [one.id for one in Run.read(str(run)).transcripts()] == ["a", "b"]
    assert run_mcprun("show", "run", cwd=run.parent).code == 0


@pytest.mark.parametrize(
    "line", ['{"event":"query_end","at":"2026-01-01T00:00:00Z","seconds":' + "9" * 400 + "}", "[]", '"x"']
)
def test_a_damaged_trace_is_one_message(run: Path, line: str) -> None:
    """All that reads it names it."""
    good = json.dumps(event("run_start", 0, queries=1, done=0, model="script", chosen="x"))
    (run / "trace.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(UsageError, match=r"trace\.jsonl has a line that is not an event"):
        list(Run.read(str(run)).events())


def test_all_that_reads_a_run_refuses_a_damaged_one(tmp_path: Path) -> None:
    """With exit code 2, the file's name and what to do; `--resume` repairs it."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(id="a"), script(id="b"))
    assert run_mcprun("batch", prompts, RAW, "--out", "good", cwd=tmp_path).code == 0
    for part in ("1/2", "2/2"):
        assert run_mcprun("batch", prompts, RAW, "--shard", part, "--out", f"s{part[0]}", cwd=tmp_path).code == 0
    shutil.copytree(tmp_path / "good", tmp_path / "bad")
    for folder in ("bad", "s2"):
        tear_last(tmp_path / folder)
    for command in (
        ["show", "bad"],
        ["show", "bad", "a"],
        ["report", "bad", "--junit", "j.xml"],
        ["diff", "bad", "good"],
        ["diff", "good", "bad"],
        ["diff", f"bad/{TRANSCRIPTS}", "good"],
        ["bless", "bad", "kept"],
        ["bless", "bad", "kept", "--force"],
        ["bless", "good", "bad"],
        ["merge", "s1", "s2", "--out", "whole"],
        ["merge", "s1", "s2", "--out", "whole", "--partial"],
        ["batch", prompts, RAW, "--baseline", "bad", "--out", "new"],
        ["batch", prompts, RAW, "--model", "replay:bad", "--out", "new"],
    ):
        done = run_mcprun(*command, cwd=tmp_path)
        assert (done.code, f"{TRANSCRIPTS} is damaged: " in done.stderr, done.stdout) == (2, True, ""), command
    assert not any((tmp_path / name).exists() for name in ("j.xml", "kept", "new"))
    with pytest.raises(UsageError, match="is damaged"):
        compare_runs(tmp_path / "good", tmp_path / "bad")
    resumed = run_mcprun("batch", "--resume", "bad", cwd=tmp_path)
    assert (resumed.code, resumed.bytes) == (0, (tmp_path / "good" / TRANSCRIPTS).read_bytes())
    assert run_mcprun("diff", "good", "bad", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("has_queries", "arguments", "remedy"),
    [
        (True, {"prompts": "p.jsonl", "server": "s.py"}, "repair it with mcprun batch --resume run"),
        (True, {"server": "s.py"}, "to run its prompts again, use mcprun batch run/prompts.jsonl SERVER"),
        (False, {"server": "s.py"}, "restore the baseline, or replace it with mcprun bless RUN run --force"),
    ],
    ids=["run", "chat", "baseline"],
)
def test_what_is_damaged_says_how_to_get_it_back(
    run: Path, monkeypatch: pytest.MonkeyPatch, has_queries: bool, arguments: dict[str, str], remedy: str
) -> None:
    """A baseline and a chat can't be resumed, so that is not the advice."""
    monkeypatch.chdir(run.parent)
    edit_record(run, arguments=arguments)
    if not has_queries:
        (run / QUERIES).unlink()
    tear_last(run)
    with pytest.raises(UsageError) as raised:
        Run.read("run")
    assert str(raised.value).endswith(f"the file has 2 complete lines; {remedy}")


def test_a_baseline_is_not_resumed(run: Path) -> None:
    """The message says what to do."""
    assert run_mcprun("bless", "run", "baseline", "--force", cwd=run.parent).code == 0
    done = run_mcprun("batch", "--resume", "baseline", cwd=run.parent)
    assert (done.code, done.stderr) == (
        2,
        "Error: baseline is a baseline, which can't be resumed; replace it with a new run:"
        " mcprun bless RUN baseline --force\n",
    )


@pytest.mark.parametrize("harm", [repeat_line, replace_line, stray_line])
def test_a_run_that_is_resumed_holds_each_query_once(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """Lines that stand there twice are dropped and not counted; what they stood in place of is run again."""
    prompts = write_jsonl(tmp_path / "p.jsonl", *(script(id=name) for name in "abc"))
    assert run_mcprun("batch", prompts, RAW, "--out", "run", cwd=tmp_path).code == 0
    good = (tmp_path / "run" / TRANSCRIPTS).read_bytes()
    harm(tmp_path / "run")
    resumed = run_mcprun("batch", "--resume", "run", cwd=tmp_path)
    assert (0, good) == (resumed.code, resumed.bytes)
    assert run_mcprun("show", "run", cwd=tmp_path).code == 0
