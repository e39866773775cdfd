"""Every output of a run is red exactly if its exit code is not 0, whatever happened."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import RAW, Result, clean_environment, run_mcprun, script, stdlib_server, write_jsonl
from tests.support.forks import Forks
from tests.support.markup import _Markup

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

SERVER = stdlib_server("""
import pathlib

server = StdlibServer("s")


@server.tool()
def price() -> str:
    return pathlib.Path("price").read_text()


calls = []


@server.tool()
def flip() -> str:
    calls.append(1)
    assert len(calls) % 2
    return "odd"


server.run()
""")

WRONG: dict[str, Any] = {"expect": {"text": {"contains": "six"}}}
PRICE = script(("price", {}), id="price")


def is_red_junit(text: str) -> bool:
    """Whether a testcase failed or is an error, and whether the counts say so."""
    suite = ET.fromstring(text)[0]
    counted = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    marks = [child for case in suite.iter("testcase") for child in case if child.tag in ("failure", "error")]
    assert len(marks) == counted
    return counted > 0


def is_red_tap(text: str) -> bool:
    """Whether a test point without a directive is not ok."""
    return any(line.startswith("not ok") and " # " not in line for line in text.splitlines())


def is_red_csv(text: str) -> bool:
    """Whether a row is red."""
    return any(row["red"] == "true" for row in csv.DictReader(io.StringIO(text)))


def is_red_markdown(text: str) -> bool:
    """Whether the heading has a cross."""
    return "### ✗" in text


def is_red_html(text: str) -> bool:
    """Whether the page has a banner."""
    assert "data" in _Markup(text).islands
    return '<p class="outcome ' in text


COLOURS: dict[str, Callable[[str], bool]] = {
    "junit": is_red_junit,
    "tap": is_red_tap,
    "csv": is_red_csv,
    "markdown": is_red_markdown,
    "html": is_red_html,
}
"""Whether a report is red, by the name of its option."""

REPORTS = tuple(word for form in COLOURS for word in (f"--{form}", f"{form}.out"))

LAST_LINES = {
    "passed": "",
    "failed": "FAILED: 1 failed",
    "error": "ERROR: 1 error",
    "failed and error": "FAILED: 1 failed, 1 error",
    "diverged": "",
    "regressed": "FAILED: 1 regression",
    "failed and regressed": "FAILED: 1 failed, 1 regression",
    "only in the baseline": "FAILED: 1 regression",
    "not in the baseline": "",
    "breaking tool change": "FAILED: 1 breaking tool change",
    "excused": "",
    "below the pass rate": "FAILED: 1 of 1 repeated query below its rate",
    "not started": "ERROR: 1 skipped, the run did not start (server_start)",
    "max failures": "FAILED: 1 failed, 1 skipped, the run stopped early (budget)",
}
"""The last line of each case."""


def run_case(name: str, folder: Path) -> Result:
    """Run one case with all reports; return the result."""
    (folder / "s.py").write_text(SERVER)
    (folder / "price").write_text("5")
    queries, flags, server = [PRICE], list[str](), "s.py"
    if name in ("diverged", "regressed", "failed and regressed", "only in the baseline", "not in the baseline"):
        base = [*queries, script(id="more")] if name == "only in the baseline" else queries
        recorded = [script(id="old")] if name == "not in the baseline" else base
        write_jsonl(folder / "base.jsonl", *recorded)
        assert run_mcprun("batch", "base.jsonl", "s.py", "--out", "base", cwd=folder).code == 0
        flags = ["--model", "replay:base"] if name == "diverged" else ["--baseline", "base"]
        (folder / "price").write_text("6" if name in ("diverged", "regressed", "failed and regressed") else "5")
    match name:
        case "failed":
            queries = [PRICE, script(id="wrong", **WRONG)]
        case "error" | "failed and error":
            server = str(RAW)
            queries = [script(("die", {}), id="dies"), script(id="fine")]
            queries += [script(id="wrong", **WRONG)] if name == "failed and error" else []
        case "failed and regressed":
            queries = [PRICE | WRONG]
        case "not in the baseline":
            queries = [script(id="old"), PRICE]
        case "breaking tool change":
            write_jsonl(folder / "base.jsonl", script(id="q"))
            assert run_mcprun("batch", "base.jsonl", "s.py", "--out", "base", cwd=folder).code == 0
            queries, flags = [script(id="q")], ["--baseline", "base"]
            (folder / "s.py").write_text(SERVER.replace("def price", "def prices"))
        case "excused" | "below the pass rate":
            rate = 0.5 if name == "excused" else 0.9
            queries = [script(("flip", {}), id="flip", repeat=2, expect={"pass_rate": rate})]
        case "not started":
            (folder / "s.py").write_text("raise SystemExit(7)\n")
        case "max failures":
            queries, flags = [PRICE | WRONG, script(id="next")], ["--max-failures", "1", "--concurrency", "1"]
    write_jsonl(folder / "p.jsonl", *queries)
    return run_mcprun("batch", "p.jsonl", server, "--github", *flags, *REPORTS, "--out", "run", cwd=folder)


def colours(folder: Path, code: int, stdout: str) -> dict[str, bool]:
    """Return whether each output of a run is red."""
    found = {form: is_red((folder / f"{form}.out").read_text()) for form, is_red in COLOURS.items()}
    return found | {"exit code": code != 0, "github": "::error " in stdout}


@pytest.mark.parametrize("name", LAST_LINES)
def test_all_outputs_have_the_colour_of_the_exit_code(tmp_path: Path, name: str) -> None:
    """Reports at the end of `batch`, those that `report` writes later, annotations and the last line agree."""
    done = run_case(name, tmp_path)
    last = LAST_LINES[name]
    found = colours(tmp_path, done.code, done.stdout)
    assert found == dict.fromkeys(found, bool(last))
    lines = [line for line in done.stdout.splitlines() if not line.startswith("::")]
    assert (lines[-1] if last else "") == last
    assert last or not any(word in done.stdout for word in ("FAILED", "ERROR", "INTERRUPTED"))
    first = {form: (tmp_path / f"{form}.out").read_text() for form in COLOURS}
    later = run_mcprun("report", "run", "--github", *REPORTS, cwd=tmp_path)
    assert colours(tmp_path, done.code, later.stdout) == found
    assert {form: (tmp_path / f"{form}.out").read_text() for form in COLOURS} == first
    if last:
        assert run_mcprun("report", "run", "--no-github", cwd=tmp_path).stdout.splitlines()[-1] == last


def test_an_interrupted_run_is_red_everywhere(mcprun: Forks, tmp_path: Path) -> None:
    """A run that was killed has no outputs of its own; the reports that are written of it are red."""
    write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=name) for name in "abc"))
    lines = mcprun.lines("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    killed = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path, kill=int(lines * 0.8))
    assert killed.code == -signal.SIGKILL
    later = run_mcprun("report", "run", "--github", *REPORTS, cwd=tmp_path)
    found = colours(tmp_path, killed.code, later.stdout)
    assert found == dict.fromkeys(found, True)


SLOW = stdlib_server("""
import os, pathlib, time

server = StdlibServer("slow")


@server.tool()
def ok() -> str:
    return "ok"


@server.tool()
def hang() -> str:
    if os.path.exists("ready"):
        pathlib.Path("ready").write_text("")  # blocks until the test reads
    time.sleep(600)


server.run()
""")

STOPPED = (script(("ok", {}), id="done"), script(("hang", {}), id="hangs"), script(("ok", {}), id="never"))


@pytest.mark.parametrize("baseline", [(), ("--baseline", "base")])
def test_a_run_that_ctrl_c_ended_is_red_everywhere(tmp_path: Path, baseline: tuple[str, ...]) -> None:
    """The outputs of an interrupted run, which are written at once, agree with its exit code, and so do later ones."""
    (tmp_path / "slow.py").write_text(SLOW)
    record_finished(tmp_path)
    os.mkfifo(tmp_path / "ready")
    write_jsonl(tmp_path / "p.jsonl", *STOPPED)
    words = ("batch", "p.jsonl", "slow.py", "-j", "1", "--github", *baseline, *REPORTS, "--out", "run")
    process = subprocess.Popen(
        [sys.executable, "-m", "mcprun", *words],
        cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    (tmp_path / "ready").read_text()  # blocks until the tool runs
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert any("Press Ctrl-C again" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    check_stopped(tmp_path, process.returncode, stdout, "INTERRUPTED: 1 of 3 queries finished")
    assert process.returncode == 130


@pytest.mark.parametrize("baseline", [(), ("--baseline", "base")])
def test_a_run_that_its_time_limit_ended_is_red_everywhere(tmp_path: Path, baseline: tuple[str, ...]) -> None:
    """A run that takes longer than `--run-timeout` is an error in all outputs."""
    (tmp_path / "slow.py").write_text(SLOW)
    record_finished(tmp_path)
    write_jsonl(tmp_path / "p.jsonl", *STOPPED)
    words = ("batch", "p.jsonl", "slow.py", "-j", "1", "--github", *baseline, "--run-timeout", "10", *REPORTS)
    done = run_mcprun(*words, "--out", "run", cwd=tmp_path)
    last = [line for line in done.stdout.splitlines() if not line.startswith("::")][-1]
    check_stopped(tmp_path, done.code, done.stdout, last)
    assert (done.code, last.startswith("ERROR: ")) == (3, True)


def record_finished(folder: Path) -> None:
    """Make a baseline `base` of the query that finishes."""
    write_jsonl(folder / "base.jsonl", STOPPED[0])
    assert run_mcprun("batch", "base.jsonl", "slow.py", "--out", "base", cwd=folder).code == 0


def check_stopped(folder: Path, code: int, stdout: str, last: str) -> None:
    """Check that all outputs of a run that was stopped are red, now and later, and the last line."""
    found = colours(folder, code, stdout)
    assert found == dict.fromkeys(found, True)
    assert [line for line in stdout.splitlines() if not line.startswith("::")][-1] == last
    later = run_mcprun("report", "run", "--github", *REPORTS, cwd=folder)
    assert colours(folder, code, later.stdout) == found
    assert run_mcprun("report", "run", "--no-github", cwd=folder).stdout.splitlines()[-1] == last


def test_a_run_that_was_not_compared_is_red_everywhere(tmp_path: Path) -> None:
    """A run that was killed before it was compared with its baseline is an error, and resuming it compares it."""
    assert run_case("regressed", tmp_path).code == 1
    file = tmp_path / "run" / "run.json"
    record = json.loads(file.read_text())
    record["baseline"]["compared"] = None
    file.write_text(json.dumps(record))
    (tmp_path / "run" / "differences.jsonl").unlink()
    later = run_mcprun("report", "run", "--github", *REPORTS, cwd=tmp_path)
    found = colours(tmp_path, 3, later.stdout)
    assert found == dict.fromkeys(found, True)
    assert "the run was not compared with its baseline base" in (tmp_path / "junit.out").read_text()
    resumed = run_mcprun("batch", "--resume", "run", cwd=tmp_path)
    assert (resumed.code, resumed.stdout.splitlines()[-1]) == (1, "FAILED: 1 regression")


def test_merged_shards_have_the_colour_of_the_whole_run(tmp_path: Path) -> None:
    """The comparisons of all shards add up to that of one run, with queries that no shard has, and tools counted once."""
    (tmp_path / "s.py").write_text(SERVER)
    (tmp_path / "price").write_text("5")
    queries = [script(("price", {}), id=name) for name in "abcd"]
    write_jsonl(tmp_path / "p.jsonl", *queries, script(id="gone"))
    assert run_mcprun("batch", "p.jsonl", "s.py", "--out", "base", cwd=tmp_path).code == 0
    write_jsonl(tmp_path / "p.jsonl", *queries)
    (tmp_path / "s.py").write_text(SERVER.replace("def flip", "def flop"))
    (tmp_path / "price").write_text("6")
    batch = ("batch", "p.jsonl", "s.py", "--baseline", "base")
    whole = run_mcprun(*batch, "--out", "whole", cwd=tmp_path)
    for number in "12":
        assert run_mcprun(*batch, "--shard", f"{number}/2", "--out", number, cwd=tmp_path).code == 1
    merged = run_mcprun("merge", "1", "2", "--out", "run", "--github", *REPORTS, cwd=tmp_path)
    assert merged.record["baseline"] == whole.record["baseline"]
    last = "FAILED: 5 regressions, 1 breaking tool change"
    lines = [line for line in merged.stdout.splitlines() if not line.startswith("::")]
    assert (whole.stdout.splitlines()[-1], lines[-1]) == (last, last)
    found = colours(tmp_path, merged.code, merged.stdout)
    assert found == dict.fromkeys(found, True)
