"""`mcprun report` and the report options of `mcprun batch`."""

from __future__ import annotations

import csv
import io
import re
import signal
import sys
from pathlib import Path

import pytest

from mcprun.report.csv import COLUMNS
from tests.support.cli import QUICKSTART, RAW, read_jsonl, run_mcprun, script, squeezed, write_jsonl
from tests.support.forks import Forks

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

FORMS = ("junit", "markdown", "csv", "tap")


@pytest.fixture(scope="module")
def quickstart_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the quickstart once, and return the folder it ran in."""
    folder = tmp_path_factory.mktemp("ran")
    assert run_mcprun("batch", *QUICKSTART, cwd=folder).code == 0
    return folder


def test_report_without_options_prints_the_totals(quickstart_folder: Path, tmp_path: Path) -> None:
    """`mcprun report` prints the same totals as the end of `mcprun batch`."""
    batch = run_mcprun("batch", *QUICKSTART, cwd=tmp_path)
    done = run_mcprun("report", cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr) == (0, batch.stdout, "")


@pytest.mark.parametrize(("width", "names"), [(40, 0), (68, 7), (69, 8)])
def test_totals_are_one_row_if_they_fit(quickstart_folder: Path, width: int, names: int) -> None:
    """The totals of a script are one row in a terminal of at least 69 columns, run time included.

    No row is wider than the terminal. In a pipe, the sentences below are not wrapped.
    """
    stdout = run_mcprun("report", cwd=quickstart_folder, env={"COLUMNS": str(width)}).stdout
    rows = [
        squeezed(line)[0].replace("tool errors", "errors").replace("run time", "time").split()
        for line in stdout.splitlines()
        if line.strip()
    ]
    assert [len(row) for row in rows if row[:4] == ["passed", "failed", "error", "skipped"]] == [names] * bool(names)
    *table, coverage, _ = stdout.splitlines()
    assert coverage == "Coverage: 4 of 4 tools (100 %), 7 of 7 arguments"
    assert all(len(line) <= width for line in table)


def test_totals_of_a_killed_run(mcprun: Forks, tmp_path: Path) -> None:
    """`report` and `show` count the finished queries of a killed run."""
    write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=name) for name in "abc"))
    flags = ("--concurrency", "1", "--out", "run")
    lines = mcprun.lines("batch", "p.jsonl", RAW, *flags[:2], "--out", "whole", cwd=tmp_path)
    killed = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, kill=lines * 9 // 10)
    done = len(read_jsonl(tmp_path / "run" / "transcripts.jsonl"))
    assert (killed.code, done > 0) == (-signal.SIGKILL, True)
    for command in ("report", "show"):
        stdout = squeezed(run_mcprun(command, "run", cwd=tmp_path).stdout)
        (row,) = (line for line in stdout if re.fullmatch(r"[\d, ]+ \?", line))
        assert row.split()[:5] == [str(done), "0", "0", "0", str(done)]  # passed, failed, error, skipped, calls


@pytest.mark.parametrize("file", ["transcripts.jsonl", "trace.jsonl", "queries.jsonl"])
def test_deeply_nested_line_is_one_message(tmp_path: Path, file: str) -> None:
    """A line nested 100,000 levels deep is reported as one line that names the damaged file."""
    write_jsonl(tmp_path / "p.jsonl", script(id="a"))
    assert run_mcprun("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path).code == 0
    with (tmp_path / "run" / file).open("a") as stream:
        stream.write("[" * 100_000 + "]" * 100_000 + "\n")
    commands = {
        "transcripts.jsonl": [["show", "run"], ["batch", "--resume", "run"], ["report", "run", "--csv", "-"]],
        "trace.jsonl": [["report", "run", "--html", "r.html"]],
        "queries.jsonl": [["batch", "--resume", "run"]],
    }
    for command in commands[file]:
        done = run_mcprun(*command, cwd=tmp_path)
        assert done.code == 2
        assert len(done.stderr.splitlines()) == 1
        assert f"run/{file}" in done.stderr


def test_all_report_formats_at_once(quickstart_folder: Path) -> None:
    """Each format is written to its file, missing folders are created, and the run itself is unchanged."""
    before = sorted(path.name for path in (quickstart_folder / "outputs" / "latest").iterdir())
    flags = [word for form in FORMS for word in (f"--{form}", f"new/{form}/it")]
    assert run_mcprun("report", "latest", *flags, cwd=quickstart_folder).code == 0
    for form, begin in zip(
        FORMS, ("<?xml ", "<!-- mcprun:quickstart -->", "id,repeat,", "TAP version 14\n1..6\n"), strict=True
    ):
        assert (quickstart_folder / "new" / form / "it").read_text().startswith(begin)
    assert sorted(path.name for path in (quickstart_folder / "outputs" / "latest").iterdir()) == before


def test_report_on_stdout_is_the_only_output_there(quickstart_folder: Path) -> None:
    """With a report on stdout, batch prints its own output to stderr, and a second report on stdout is refused."""
    done = run_mcprun("batch", *QUICKSTART, "--csv", "-", cwd=quickstart_folder)
    assert len(list(csv.reader(io.StringIO(done.stdout)))) == 7
    assert "transcripts.jsonl, trace.jsonl" in done.stderr
    both = run_mcprun("report", "--csv", "-", "--tap", "-", cwd=quickstart_folder)
    assert (both.code, "another report already goes to stdout" in both.stderr) == (2, True)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope", "--csv", "x"], "Error: there is no run at nope or outputs/nope"),
        (["--csv", "outputs"], "File 'outputs' is a directory"),
        (["--csv", "file/x.csv"], "Error: can't write file/x.csv: "),
    ],
)
def test_unwritable_report_is_one_message(quickstart_folder: Path, args: list[str], message: str) -> None:
    """`mcprun report` exits with 2 and one message."""
    (quickstart_folder / "file").touch()
    done = run_mcprun("report", *args, cwd=quickstart_folder)
    assert (done.code, message in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_unwritable_report_does_not_affect_the_run(tmp_path: Path) -> None:
    """The run and the other report are complete, the message names the command to repeat, and the exit code is 3."""
    (tmp_path / "file").touch()
    done = run_mcprun("batch", *QUICKSTART, "--junit", "file/j.xml", "--tap", "t.tap", cwd=tmp_path)
    assert (done.code, done.record["state"], len(done.transcripts)) == (3, "finished", 6)
    assert done.stderr.splitlines()[-1].startswith("Error: can't write file/j.xml: ")
    assert f"write its reports with: mcprun report {done.run.relative_to(tmp_path)}" in done.stderr
    assert (tmp_path / "t.tap").exists()
    write_jsonl(tmp_path / "p.jsonl", script(expect={"text": {"equals": "6"}}))
    assert run_mcprun("batch", "p.jsonl", RAW, "--junit", "file/j.xml", cwd=tmp_path).code == 1


def test_reports_are_written_for_runs_that_end_early(tmp_path: Path) -> None:
    """A run that ends at `--max-failures`, and its resume, both write the report."""
    write_jsonl(tmp_path / "p.jsonl", *(script(("die", {}), id=name) for name in "abc"))
    done = run_mcprun(
        "batch", "p.jsonl", RAW, "--max-failures", "1", "--concurrency", "1", "--tap", "t.tap", cwd=tmp_path
    )
    assert done.code == 3
    lines = [line for line in (tmp_path / "t.tap").read_text().splitlines() if re.match(r"(not )?ok ", line)]
    assert [line.split(" # ")[0] for line in lines] == ["not ok 1 - run", "not ok 2 - a", "ok 3 - b", "ok 4 - c"]
    assert " # SKIP budget: not started: 1 query did not pass (limit `--max-failures 1`)" in lines[2]
    (tmp_path / "t.tap").unlink()
    assert run_mcprun("batch", "--resume", "latest", "--restarts", "20", cwd=tmp_path).code == 3
    assert "1..4\n" in (tmp_path / "t.tap").read_text()


def test_csv_has_one_row_per_query(quickstart_folder: Path) -> None:
    """The rows follow the prompts, with numbers from the transcripts and durations from the trace."""
    rows = list(csv.DictReader(io.StringIO(run_mcprun("report", "--csv", "-", cwd=quickstart_folder).stdout)))
    data = read_jsonl(quickstart_folder / "outputs" / "latest" / "transcripts.jsonl")
    assert tuple(rows[0]) == COLUMNS
    assert [(row["id"], row["verdict"], int(row["calls"]), int(row["turns"])) for row in rows] == [
        (one["id"], one["verdict"], len(one["calls"]), len(one["turns"])) for one in data
    ]
    assert [row["tool_errors"] for row in rows] == ["0", "0", "0", "1", "0", "0"]
    assert all(re.fullmatch(r"\d+\.\d{3}", row["seconds"]) for row in rows)
