"""Routed runs in the terminal: the figures, the confusion matrix, causes and conversations."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from mcprun.analysis.routing.measure import Routing, routing_of
from mcprun.report.causes import CauseGroups
from mcprun.report.conversation import excerpt, laid_out
from mcprun.report.csv import table
from mcprun.report.github import commands
from mcprun.report.junit import junit
from mcprun.report.markdown import markdown
from mcprun.report.routing import name_text, print_routing
from mcprun.report.tap import tap
from mcprun.runs.transcript import Check, RoutedCall, Transcript
from tests.support.facts import EVIL
from tests.support.routed_runs import PLANTED, planted_facts, routed, ungraded
from tests.support.runs import broken


def printed(*transcripts: Transcript, width: int = 80) -> str:
    console = Console(file=(file := io.StringIO()), width=width, force_terminal=False)
    print_routing(routing_of(transcripts), console)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def causes(*red: Transcript) -> list[tuple[int, str, tuple[str, ...]]]:
    groups = CauseGroups()
    for one in red:
        groups.add(one)
    return [(cause.count, cause.message, cause.tools) for cause in groups.result().causes]


def test_a_planted_run_is_printed_with_its_matrix() -> None:
    """The accuracy is first; the tools with most wrong turns lead their table."""
    assert printed(*PLANTED, width=90) == PRINTED


PRINTED = """\
Routing: 4 of 10 (40 %) right, 95 % interval 17 to 69 %
         inputs right given the tool: 3 of 4 (75 %)
         not graded: 1 query without expect.calls, or with vars from steps

 tool           precision      recall      inputs
──────────────────────────────────────────────────
 close_issue    0/3   0 %   0/2   0 %
 get_issue      4/5  80 %   4/6  67 %   3/4  75 %
 delete_issue   0/1   0 %

 expected ↓  called →   close_issue   get_issue   (several)   (none)
─────────────────────────────────────────────────────────────────────
 close_issue                      ·           ·           1        1
 get_issue                        2           4           ·        ·
 (none)                           1           ·           ·        1
"""


def test_forty_long_names_fit_a_terminal() -> None:
    """Names that begin alike keep both ends; of a large matrix, the most frequent confusions are listed."""
    names = [f"a_rather_long_name_that_every_tool_of_this_server_begins_with_{number:02}" for number in range(40)]
    found = printed(*(routed(f"q{n}", name, names[n - 1]) for n, name in enumerate(names)))
    assert max(map(len, found.splitlines())) <= 80
    assert "… and 28 more tools" in found
    assert "Expected → called:\n    1 × a_rather_long_n…r_begins_with_00 → a_rather_long_n…r_begins_with_39" in found
    assert "… and 30 more confusions: see the page of mcprun report --html" in found


def test_a_tool_named_none_is_not_taken_for_no_tool() -> None:
    """No tool and several are in brackets, and controls in names are escaped."""
    found = printed(routed("a", "none", ""), routed("b", "several", "none"), routed("c", "none", "\x1b[31m"))
    assert r"3 (0 %) right" in found.replace("0 of ", "")
    assert " expected ↓  called →   \\x1b[31m   none   (none)" in found
    assert "\x1b" not in found


@pytest.mark.parametrize(
    ("transcripts", "expected"),
    [
        ([routed("a", "x", "x")], "Routing: 1 of 1 (100 %) right, 95 % interval 21 to 100 %"),
        ([ungraded("a")], "Routing: no query was graded\n         not graded: 1 query without expect.calls"),
        ([broken("a", "api_error", "no")], "Routing: no query was graded\n         1 query ended in an error"),
    ],
)
def test_few_queries_are_printed_without_empty_tables(transcripts: list[Any], expected: str) -> None:
    """One query, queries that are not graded, and queries that ended in errors."""
    found = printed(*transcripts)
    assert found.startswith(expected)
    assert "expected ↓" not in found


def test_nothing_measured_is_no_division_by_zero() -> None:
    """A run that was stopped before its first query."""
    console = Console(file=(file := io.StringIO()), width=80)
    print_routing(Routing(), console)
    assert file.getvalue() == "Routing: no query was graded\n"


@pytest.mark.parametrize(("name", "shown"), [("abc", "abc"), ("a" * 10 + "b" * 10, "aaaaa…bbbbb"), ("", "''")])
def test_a_long_name_keeps_both_ends(name: str, shown: str) -> None:
    """It has at most as many characters as asked for."""
    assert name_text(name, 11) == shown


def test_confusions_are_grouped_by_the_tools() -> None:
    """Inputs and digits in names do not matter, and no two confusions are merged, however many there are."""
    red = [routed(f"q{n}", "get_v1", "get_v2", calls=[]) for n in range(12)]
    red += [routed(f"r{n}", f"get_v{n}", f"put_v{n}") for n in range(8)]
    found = causes(*red)
    assert found[0] == (12, "expected get_v1, got get_v2", ("get_v2",))
    assert [message for _, message, _ in found[1:]] == [f"expected get_v{n}, got put_v{n}" for n in range(8)]


def test_causes_name_no_call_and_several_calls() -> None:
    """Of many tools, the first are named."""
    red = [
        routed("a", "x y", ""), routed("b", "", "x"), routed("c", "x", "a b c d e"),
        routed("d", "x", "x", "input.id: expected 5, got 1 (x{id: 1})"),
    ]  # fmt: skip
    assert [message for _, message, _ in causes(*red)] == [
        "expected x or y, got no call",
        "expected no call, got x",
        "expected x, got a and b and c and 2 more",
        "input.id: expected 5, got 1",
    ]


def test_other_checks_of_a_routed_query_have_their_own_cause() -> None:
    """A call that is forbidden is not a confusion."""
    checks = [Check(check="route", passed=True), Check(check="never", passed=False, message="called x: never")]
    assert causes(routed("a", "y", "y", checks=checks, verdict="failed"))[0][1] == "called x: never"


def test_requested_calls_are_shown_as_requests() -> None:
    """They have no result, and a first turn is no early stop."""
    console = Console(file=(file := io.StringIO()), width=80)
    console.print(laid_out(routed("a", "close_issue", "get_issue delete_issue", "expected close_issue")))
    assert [line.rstrip() for line in file.getvalue().splitlines()] == [
        "user     Do it.",
        "request  get_issue{id: 1}",
        "request  delete_issue{id: 1}",
        "check    ✗ route: expected close_issue",
    ]
    assert excerpt(ungraded("b")) == ["skipped  not graded: the query has no expect.calls"]


def test_a_query_that_is_not_graded_is_skipped_with_the_reason() -> None:
    """In JUnit XML, TAP and CSV."""
    facts = planted_facts()
    reason = "not graded: the query has no expect.calls"
    assert f'<skipped message="{reason}" />' in junit(facts)
    assert f"ok 11 - ungraded # SKIP {reason}\n" in tap(facts)
    row = next(line for line in table(facts).splitlines() if line.startswith("ungraded"))
    assert reason in row


def test_hostile_names_cannot_break_reports() -> None:
    """Names of tools are those that the model made up."""
    evil = RoutedCall(tool=EVIL, input={EVIL: EVIL})
    transcript = routed("a", "x", "", routed=[evil])
    for text in (printed(transcript), causes(transcript)[0][1], *excerpt(transcript)):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_markdown_has_the_tools_and_the_confusions() -> None:
    """The accuracy leads, and what no routed run has is left out."""
    text = markdown(planted_facts())
    assert "**Routing: 4 of 10 (40 %) right, 95 % interval 17 to 69 %**" in text
    assert "| <code>get_issue</code> | 4 of 5 (80 %) | 4 of 6 (67 %) | 3 of 4 (75 %) |" in text
    assert "| <code>get_issue</code> | <code>close_issue</code> | 2 |" in text
    assert "| (none) | <code>close_issue</code> | 1 |" in text
    assert "| <code>close_issue</code> | (several) | 1 |" in text
    assert "- **2 ×** <code>expected get_issue, got close_issue</code>" in text
    assert "Tool calls" not in text


def test_the_accuracy_is_in_every_report_of_ci() -> None:
    """A property of JUnit XML, a comment of TAP, and a notice of GitHub."""
    facts = planted_facts()
    assert '<property name="routing.right" value="4" />' in junit(facts)
    assert '<property name="routing.graded" value="10" />' in junit(facts)
    assert "# Routing: 4 of 10 (40 %) right" in tap(facts)
    (notice,) = [line for line in commands(facts) if line.startswith("::notice")]
    assert notice.startswith("::notice title=mcprun routing::4 of 10 (40 %25) right")
