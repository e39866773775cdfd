"""JUnit files: failures, and hostile text."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from hypothesis import example, given, settings

from mcprun.errors import ExitCode
from mcprun.report.baseline import QueryChange
from mcprun.report.data import RunData
from mcprun.report.junit import junit
from mcprun.runs.run_record import CoverageOutcome, CoverageRecord
from mcprun.runs.transcript import Verdict
from tests.support.facts import EVIL, EXCUSED, comparison, facts, runs, transcript


@given(runs())
@example(EXCUSED)
@settings(deadline=None)
def test_junit_fails_exactly_if_the_exit_code_does(run: RunData) -> None:
    """A failure or an error is present exactly if the exit code is not 0. The counts match the test cases."""
    suite = ET.fromstring(junit(run))[0]
    marks = [child.tag for case in suite.iter("testcase") for child in case]
    assert (run.code is not ExitCode.PASSED) == ("failure" in marks or "error" in marks)
    assert (int(suite.attrib["failures"]), int(suite.attrib["errors"])) == (
        marks.count("failure"),
        marks.count("error"),
    )
    assert int(suite.attrib.get("skipped", 0)) == marks.count("skipped")
    own = [case for case in suite.iter("testcase") if case.attrib["classname"] == "mcprun"]
    removed = len(run.against.removed) if run.against else 0
    assert int(suite.attrib["tests"]) == len(list(run.transcripts())) + len(own) + removed
    assert ("run" in [case.attrib["name"] for case in own]) == bool(run.trouble)
    assert (suite.findtext("system-out") or "").startswith("Why it is red\n") == bool(run.why)


def test_hostile_text_stays_text() -> None:
    """Tags are escaped. Control characters, and characters that XML forbids, are made visible."""
    text = junit(
        facts(
            transcript("q", Verdict.FAILED, text=EVIL),
            log=EVIL,
            against=comparison(QueryChange("q", 1, "regressed", EVIL, (EVIL,)), name=EVIL, breaking=(EVIL,)),
        )
    )
    assert not set("\x1b\r\u202e\ufffe") & set(text)
    failure = ET.fromstring(text).find(".//failure[@type='calls']")
    assert failure is not None
    assert list(failure) == []
    assert r"\x1b[2J<b>&" in failure.attrib["message"]
    assert r"\u202e\ufffe" in (failure.text or "")


def test_unmet_gates_are_a_failure_that_names_the_tools() -> None:
    """A run whose queries passed is red for CI servers. The message is the first gate, and the text has all of them."""
    failures = ["coverage is below --min-coverage 1: 1 of 2 tools (50 %); not called: refund", "--require put: why"]
    for found in (failures, []):
        outcome = CoverageOutcome(covered=1, tools=2, failures=found)
        run = facts(transcript("q"), coverage=CoverageRecord(min_coverage=1, outcome=outcome))
        suite = ET.fromstring(junit(run))[0]
        (case,) = (one for one in suite.iter("testcase") if one.attrib["name"] == "coverage")
        assert (case.attrib["classname"], len(case), suite.attrib["failures"]) == (
            "mcprun",
            *([1, "1"] if found else [0, "0"]),
        )
        if found:
            assert case[0].attrib == {"message": f"{failures[0]} (and 1 more gate)", "type": "coverage"}
            assert (case[0].text or "").splitlines() == [*failures, "", "mcprun coverage outputs/run"]


def test_calls_are_listed_for_a_bounded_number_of_failures() -> None:
    """All 600 failures have a message, but only the first 500 list their calls."""
    text = junit(facts(*(transcript(f"q{number}", Verdict.FAILED, text=f"why {number}") for number in range(600))))
    lines = [failure.text or "" for failure in ET.fromstring(text).iter("failure")]
    assert (len(lines), sum("call 0   add{a: 2}" in line for line in lines)) == (600, 500)
    assert (ET.fromstring(text).findtext(".//system-out") or "").splitlines()[:2] == ["Why it is red", "● 600 × why …"]
    assert lines[-1] == "why 599\n\n(conversation: mcprun show outputs/run q599)"
