"""JUnit files as commands write them, read by other programs."""

from __future__ import annotations

import json
import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from lxml import etree

from tests.support import schemas
from tests.support.cli import QUICKSTART, RAW, run_mcprun, script, write_jsonl
from tests.support.flaky import flaky
from tests.support.forks import Forks
from tests.support.junit_files import cases, run_mixed

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


@pytest.fixture(scope="module")
def jenkins() -> etree.XMLSchema:
    """Return the schema of Jenkins' JUnit plugin."""
    return schemas.jenkins()


def suite_properties(text: str) -> dict[str, str]:
    """Return the properties of the suite."""
    return {one.attrib["name"]: one.attrib["value"] for one in ET.fromstring(text).iter("property")}


def test_junit_reader_finds_all_details_of_a_mixed_run(tmp_path: Path) -> None:
    """junitparser reads counts, names, times, messages with the conversation, and the end of the server's log."""
    done = run_mixed(tmp_path)
    (suite,) = JUnitXml.fromfile(str(tmp_path / "ci" / "junit.xml"))
    assert (suite.name, suite.tests, suite.failures, suite.errors) == ("mixed", 3, 1, 1)
    assert suite_properties((tmp_path / "ci" / "junit.xml").read_text())["exit_code"] == "1"
    passes, fails, kills = suite
    assert (passes.classname, passes.is_passed) == ("mixed", True)
    seconds = {event["query"]: event["seconds"] for event in done.trace if event["event"] == "query_end"}
    assert fails.time == pytest.approx(seconds["fails"], abs=0.001)
    (failure,), (error,) = fails.result, kills.result
    assert isinstance(failure, Failure)
    assert (failure.type, failure.message) == ("never", "call 0: expected no call to ok, got ok{}")
    assert failure.text.splitlines()[1:7] == [
        "expected text with '6', got 'Done.'", "", "user     Do it.", "call 0   ok{}", '→        ["ok", {}]', "model    Done.",
    ]  # fmt: skip
    assert isinstance(error, Error)
    assert (error.type, error.message.startswith("server_died: ")) == ("server_died", True)
    data = ET.fromstring((tmp_path / "ci" / "junit.xml").read_text()).findtext(".//system-err", "")
    assert data == (done.run / "server.log").read_text().strip()
    assert "fatal: out of cheese" in data


def test_report_writes_the_same_file_as_batch(tmp_path: Path) -> None:
    """`mcprun report --junit` writes the same bytes as `mcprun batch --junit`."""
    run_mixed(tmp_path)
    done = run_mcprun("report", "--junit", "again.xml", cwd=tmp_path)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "again.xml").read_bytes() == (tmp_path / "ci" / "junit.xml").read_bytes()
    assert run_mcprun("report", "--junit", "-", cwd=tmp_path).stdout == (tmp_path / "again.xml").read_text()


@pytest.mark.parametrize(
    ("rate", "marks"),
    [("0.75", {"sometimes (2)": "skipped"}), ("0.8", {"sometimes (2)": "failure"})],
)
def test_each_repeat_is_a_testcase(
    mcprun: Forks, tmp_path: Path, jenkins: etree.XMLSchema, rate: str, marks: dict[str, str]
) -> None:
    """Failed repeats of a query that reached its pass rate are skipped, not failed; properties record the rates."""
    done = flaky(mcprun, tmp_path, "--repeat", "4", "--pass-rate", rate, "--junit", "j.xml")
    text = (tmp_path / "j.xml").read_text()
    assert {name: mark for name, mark in cases(text).items() if mark != "passed"} == marks
    assert (done.code == 0) == ("failure" not in marks.values())
    assert {name: value for name, value in suite_properties(text).items() if "sometimes" in name} == {
        "repeats.sometimes.runs": "4", "repeats.sometimes.passed": "3", "repeats.sometimes.pass_rate": "0.75",
        "repeats.sometimes.flaky": "true", "repeats.sometimes.required": rate,
    }  # fmt: skip
    jenkins.assertValid(etree.fromstring(text.encode()))
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    is_excused = [one.message for case in suite for one in case.result if isinstance(one, Skipped)]
    assert is_excused == (
        ["failed, but the query reached its required pass rate: call 0: now_and_then{} returned an error: '1'"]
        if "skipped" in marks.values()
        else []
    )


def test_server_that_does_not_start_is_an_error_of_the_run(tmp_path: Path) -> None:
    """If the server does not start, the testcase `run` is an error and all queries are skipped."""
    write_jsonl(tmp_path / "p.jsonl", *(script(id=name) for name in "ab"))
    server = """python -c 'raise KeyError("TOKEN")'"""
    done = run_mcprun("batch", "p.jsonl", server, "--junit", "j.xml", cwd=tmp_path)
    text = (tmp_path / "j.xml").read_text()
    assert (done.code, cases(text)) == (3, {"run": "error", "a": "skipped", "b": "skipped"})
    assert 'type="server_start"' in text
    (run, *_) = (case for suite in JUnitXml.fromfile(str(tmp_path / "j.xml")) for case in suite)
    assert "KeyError: 'TOKEN'" in run.result[0].message


def test_killed_run_is_an_error(mcprun: Forks, tmp_path: Path) -> None:
    """The report of a killed run has its finished queries, and the testcase `run` is an error."""
    write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=name) for name in "abc"))
    lines = mcprun.lines("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    killed = mcprun.run("batch", "p.jsonl", RAW, "--out", "killed", cwd=tmp_path, kill=int(lines * 0.8))
    assert killed.code == -signal.SIGKILL
    text = run_mcprun("report", "killed", "--junit", "-", cwd=tmp_path).stdout
    assert cases(text)["run"] == "error"
    assert "● The run has not finished (state: started)." in text


def test_each_regressed_query_is_a_failure_of_its_own(tmp_path: Path) -> None:
    """A query that regressed is a failure with its differences, although its verdict is passed."""
    prompts, server = QUICKSTART
    query = json.loads(prompts.read_text().splitlines()[0])
    write_jsonl(tmp_path / "p.jsonl", query)
    assert run_mcprun("batch", "p.jsonl", server, "--out", "base", cwd=tmp_path).code == 0
    (base,) = (json.loads(line) for line in (tmp_path / "base" / "transcripts.jsonl").read_text().splitlines())
    args = ("batch", "p.jsonl", server, "--baseline", "base", "--junit", "j.xml")
    assert run_mcprun(*args, cwd=tmp_path).code == 0
    assert cases((tmp_path / "j.xml").read_text()) == {"baseline": "passed", "add": "passed"}
    base["calls"][0]["structured"] = {"result": 6}
    write_jsonl(tmp_path / "base" / "transcripts.jsonl", base)
    assert run_mcprun(*args, cwd=tmp_path).code == 1
    text = (tmp_path / "j.xml").read_text()
    assert cases(text) == {"baseline": "passed", "add": "failure"}
    assert "● 1 × regressed: call 0" in text
    assert "~ add  passed" in text


def test_baseline_without_a_trace_has_no_times(tmp_path: Path) -> None:
    """The report of a baseline, which has no trace or log, has times of zero."""
    more: dict[str, Any] = {"cwd": tmp_path}
    assert run_mcprun("batch", *QUICKSTART, **more).code == 0
    assert run_mcprun("bless", "latest", "base", **more).code == 0
    done = run_mcprun("report", "base", "--junit", "-", **more)
    assert (done.code, set(cases(done.stdout).values())) == (0, {"passed"})
    assert 'time="0.000"' in done.stdout
