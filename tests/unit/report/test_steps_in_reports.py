"""Steps in JUnit, TAP, CSV, Markdown and GitHub's annotations: failures and errors of queries, but no calls."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET

import pytest

from mcprun.report.assistant import assistant_text
from mcprun.report.csv import table
from mcprun.report.data import RunData
from mcprun.report.github import commands
from mcprun.report.junit import junit
from mcprun.report.markdown import markdown
from mcprun.report.tap import tap
from tests.support.facts import EVIL, facts
from tests.support.stepped_runs import closed, create_issue, not_set_up, step, still_open

SETUP = 'setup: before.issue: expected no error, got "database is locked" (create_issue{title: "Broken"})'
UNMET = 'after.state: result at /status: expected "closed", got "open" (get_issue{id: 17})'
STEP_OF_SETUP = """mcprun call s.py create_issue '{"title": "Broken"}'"""
STEP_OF_UNMET = """mcprun call s.py get_issue '{"id": 17}'"""


@pytest.fixture
def run() -> RunData:
    return facts(closed(), still_open(), not_set_up())


def test_junit_has_an_error_for_setup_and_a_failure_for_a_step_after(run: RunData) -> None:
    """Each has the kind of the error or the name of the check, the steps, and the command of the failed one."""
    passed, failed, error = ET.fromstring(junit(run)).iter("testcase")
    assert list(passed) == []
    ((failure,), (mark,)) = failed, error
    assert (failure.tag, failure.get("type"), failure.get("message")) == ("failure", "after.state", UNMET)
    assert (mark.tag, mark.get("type"), mark.get("message")) == ("error", "setup", SETUP)
    assert 'after.state  get_issue{id: 17}\n→            {"status":"open"}' in (failure.text or "")
    assert STEP_OF_UNMET in (failure.text or "")
    assert "model        (not asked, because a step before the conversation failed)" in (mark.text or "")
    assert STEP_OF_SETUP in (mark.text or "")


def test_tap_names_the_kind_of_an_error_and_the_check_of_a_failure(run: RunData) -> None:
    """A failed cleanup fails no point."""
    text = tap(run)
    assert "ok 1 - close\n" in text
    assert 'not ok 2 - forgetful\n  ---\n  verdict: "failed"\n  kind: "after.state"' in text
    assert 'not ok 3 - no-issue\n  ---\n  verdict: "error"\n  kind: "setup"' in text


def test_csv_counts_the_calls_of_the_model(run: RunData) -> None:
    """Steps are no calls, and their errors no tool errors."""
    rows = list(csv.DictReader(io.StringIO(table(run))))
    assert [(row["id"], row["verdict"], row["calls"], row["tool_errors"], row["turns"]) for row in rows] == [
        ("close", "passed", "1", "0", "2"),
        ("forgetful", "failed", "1", "0", "2"),
        ("no-issue", "error", "0", "0", "0"),
    ]
    assert [row["cause"] for row in rows] == ["", UNMET, SETUP]


def test_markdown_says_that_the_model_was_not_asked(run: RunData) -> None:
    """The causes say what to check, the folded blocks have the steps and the commands."""
    text = markdown(run)
    assert "the model was not asked: check the step, the server and its environment" in text
    assert "| Tool calls | Tool errors |" in text
    assert "| 2 | 0 | 4 |" in text
    for command in (STEP_OF_SETUP, STEP_OF_UNMET):
        assert command in text
    assert "cleanup[0]   delete_issue{id: 17}\nerror        Issue 17 is locked" in text


def test_an_annotation_has_the_message_of_the_step(run: RunData) -> None:
    """It is that of a failed check, or of the error."""
    annotations = "\n".join(commands(run))
    assert f"title=failed%3A forgetful,file=p.jsonl::{UNMET}" in annotations
    assert f"title=error%3A no-issue,file=p.jsonl::{SETUP}" in annotations


def test_a_text_for_an_assistant_has_the_steps_and_the_values(run: RunData) -> None:
    """Also if the conversation is cut: the prompt then has names for which the values stand."""
    text = assistant_text(run, still_open())
    assert STEP_OF_UNMET in text
    assert "vars         {{number}} = 17" in text
    long = [still_open().steps[0], *[step("after", "list_issues", "[]")] * 30, *still_open().steps[1:]]
    cut = assistant_text(run, still_open().model_copy(update={"steps": long}))
    assert "user     Close issue {{number}}.\nvars     {{number}} = 17\n…" in cut


def test_text_of_steps_is_escaped_in_every_report() -> None:
    """Controls, commands of the runner, fences and mentions stay text."""
    steps = [create_issue(id=EVIL, input={EVIL: EVIL}, content=[{"type": "text", "text": EVIL}], is_error=True)]
    hostile = not_set_up(text=EVIL).model_copy(update={"steps": steps, "vars": {EVIL: EVIL}})
    run = facts(hostile)
    texts = [junit(run), tap(run), table(run), markdown(run), assistant_text(run, hostile), *commands(run)]
    for text in texts:
        assert not set(text) & set("\x1b\u202e"), text
    ET.fromstring(junit(run))
    assert not any(line.startswith("::error::") for text in texts for line in text.splitlines())


def test_a_step_that_can_not_be_shown_costs_no_report() -> None:
    """An input that is nested too deep for Python: only the verdict and its causes are shown."""
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    one = still_open()
    broken = one.model_copy(update={"steps": [one.steps[0].model_copy(update={"input": deep})]})
    run = facts(broken)
    for text in (junit(run), markdown(run), tap(run)):
        assert "result at /status: expected" in text
        assert "create_issue" not in text
