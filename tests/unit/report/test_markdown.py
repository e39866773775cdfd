"""Markdown reports: length limits and escaping."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcprun.errors import ErrorKind
from mcprun.report.aspect import Aspect
from mcprun.report.baseline import QueryChange
from mcprun.report.data import RunData
from mcprun.report.markdown import COMMENT_BYTES, LEAST_BYTES, markdown
from mcprun.report.outcome import outcome
from mcprun.runs.transcript import ErrorInfo, Verdict
from mcprun.tools.changes import ToolChange
from tests.support.examples import examples
from tests.support.facts import EVIL, comparison, facts, runs, transcript
from tests.support.markdown_text import tokens

REPORT_HTML = re.compile(r"<(/?(code|summary)|/?details)>|<details><summary>|<!-- mcprun:[\w.-]+ -->\n?")
"""The only HTML in a report."""


def test_report_of_a_passed_run_is_brief() -> None:
    """The report has no table of failures, no folded section and no command."""
    text = markdown(facts(transcript("q")))
    assert text.startswith("<!-- mcprun:p -->\n### ✓ Passed: p, 1 passed\n")
    assert not any(word in text for word in ("Cause", "details", "```", "95 % CI"))


def test_incomplete_run_shows_its_error_and_regressions() -> None:
    """The report starts with the reason, and shows the differences from the baseline."""
    error = ErrorInfo(kind=ErrorKind.BUDGET, message="the budget is *spent*")
    change = QueryChange("add", 1, "regressed", "regressed: why", ("~ add  passed", "      - 5", "      + 6"))
    against = comparison(change)
    text = markdown(facts(transcript("q", Verdict.SKIPPED), error=error, state="interrupted", against=against))
    assert "### ✗ Failed: p, 1 skipped" in text
    assert text.splitlines()[2:5] == ["", "**Why it is red**", ""]
    assert "- <code>Not started: the budget is &#42;spent&#42;" in text
    assert "**1 regression** against <code>base</code>: 1 other change, 0 unchanged.\n\n```diff\n~ add" in text


def test_a_comparison_has_the_counts_of_the_last_line_and_of_the_page() -> None:
    """Breaking changes of tools are no regressions of queries. Errors and failures precede other regressions."""
    aspects: dict[str, Aspect] = {"only": "result", "both": "now_fails"}
    changes = [QueryChange(name, 1, "regressed", "regressed: why", aspect=aspect) for name, aspect in aspects.items()]
    renamed = ToolChange("list_stores", "tool_renamed", True, "removed", after="list_shops")
    against = comparison(*changes, breaking=("list_stores: removed",), tools=(renamed,))
    run = facts(transcript("only"), transcript("both", Verdict.FAILED), transcript("e", Verdict.ERROR), against=against)
    text = html.unescape(markdown(run))
    counted = "1 now fails, 1 result changed, 1 tool renamed (list_stores → list_shops), 0 unchanged"
    assert f"**2 regressions, 1 breaking tool change** against <code>base</code>: {counted}." in text
    assert outcome(run.record, run.counts) == "FAILED: 1 failed, 2 regressions, 1 breaking tool change, 1 error"
    assert re.findall(r"^\| <code>(\w+)</code> \| (\w+)", text, re.MULTILINE) == [
        ("e", "error"), ("both", "failed"), ("only", "regressed")
    ]  # fmt: skip


def test_queries_are_listed_errors_first_and_regressions_last() -> None:
    """The order of the file counts within each, and the count of regressions has no breaking changes of tools."""
    names = {"same": Verdict.PASSED, "worse": Verdict.PASSED, "fails": Verdict.FAILED, "breaks": Verdict.ERROR}
    against = comparison(QueryChange("worse", 1, "regressed", "regressed: why"), breaking=("t: removed",))
    run = facts(*(transcript(name, verdict) for name, verdict in names.items()), against=against)
    text = markdown(run)
    rows = re.findall(r"^\| <code>(\w+)</code> \| (\w+)", text, re.MULTILINE)
    assert rows == [("breaks", "error"), ("fails", "failed"), ("worse", "regressed")]
    assert "**1 regression, 1 breaking tool change** against <code>base</code>: " in text


@given(st.integers(0, 120), st.integers(LEAST_BYTES, COMMENT_BYTES), st.sampled_from(["x", "`", "😀", "\n"]))
@settings(max_examples=examples(30), deadline=None)
@example(13, 18_933, "`")
def test_report_is_bounded(count: int, limit: int, letter: str) -> None:
    """The report stays within its byte limit and counts what it omits."""
    run = facts(*(transcript(f"q{number}", Verdict.FAILED, text=letter * 3000) for number in range(count)))
    text = markdown(run, limit)
    assert len(text.encode()) <= limit
    folded = text.count("<details>")
    assert text.count("</details>") == folded
    left_out = re.search(r"^Details of ([\d,]+) more quer(?:y|ies) that did not pass are omitted", text, re.MULTILINE)
    assert (int(left_out[1]) if left_out else 0) == count - folded
    rows = len(re.findall(r"^\| <code>q\d+</code> \| failed ", text, re.MULTILINE))
    more = re.search(r"^… and (\d+) more queries that did not pass\.$", text, re.MULTILINE)
    assert (int(more[1]) if more else 0) + rows == count


@given(runs() | st.builds(lambda text: facts(
    transcript(text or "q", Verdict.FAILED, text=text), transcript("e", Verdict.ERROR, text=text),
    against=comparison(QueryChange("g", 1, "removed", text, (text,)), name=text), arguments={"prompts": text, "server": text},
), st.text() | st.sampled_from([EVIL, "```\n# x", "x\n```\n<b>y</b>"]) | st.text(alphabet="`|<>@[]()*_~#-:/\\!&\n.wh")))  # fmt: skip
@settings(deadline=None)
def test_hostile_text_stays_text(run: RunData) -> None:
    """No text becomes a link, an image, emphasis, HTML or a mention, or leaves its table cell or code block."""
    text = markdown(run)
    found = tokens(text)
    kinds = {token.type for token in found}
    assert (
        kinds & {"link_open", "image", "em_open", "code_inline", "code_block", "hr", "s_open", "blockquote_open"}
        == set()
    )
    for token in found:
        if token.type in ("html_inline", "html_block"):
            assert REPORT_HTML.match(token.content), token.content
    outside = re.sub(r"(?ms)^(`{3,})\w+$.*?^\1$", "", text)
    assert not set("@`\x1b\u202e\r") & set(outside)
    for head, *rows in (table.splitlines() for table in re.findall(r"(?m)(?:^\|.*\n)+", outside)):
        assert {row.count("|") for row in rows} == {head.count("|")}


@pytest.mark.parametrize("name", ["a b/ü.jsonl", "-->.jsonl", "-"])
def test_first_line_is_a_comment(name: str) -> None:
    """The first line is one HTML comment, whatever the name of the prompts file."""
    run = facts(transcript("q"))
    named = run.record.prompts.model_copy(update={"file": name})
    first = markdown(facts(transcript("q"), prompts=named)).splitlines()[0]
    assert re.fullmatch(r"<!-- mcprun:[A-Za-z0-9_.-]+ -->", first)
    assert first.count("--") == 2


def test_coverage_is_a_line_of_its_own() -> None:
    """A report has the coverage of the run in one line below its totals, and none if it is not known."""
    line = "Coverage: 1 of 2 tools (50 %), 2 of 4 arguments; not called: read_note"
    assert f"\n\n{line}\n" in markdown(replace(facts(transcript("q")), coverage=lambda: line))
    assert "Coverage" not in markdown(facts(transcript("q")))
