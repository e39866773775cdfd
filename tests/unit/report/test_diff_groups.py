"""Groups of identical changes in the terminal and in Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from mcprun.analysis.diff.groups import Groups
from mcprun.analysis.diff.repeats import Rate
from mcprun.analysis.diff.runs import DiffSummary, MovedRate, QueryDiff, RunDiff
from mcprun.analysis.diff.transcripts import Change
from mcprun.report.baseline import query_change
from mcprun.report.diff import Line, blocks, diff_line, lines, moved_lines, summary
from mcprun.report.diff_markdown import Notes, markdown
from mcprun.tools.changes import ToolChange
from tests.support.changed_orders import changed_orders
from tests.support.transcripts import lines as lines_of


def orders() -> tuple[Groups, DiffSummary]:
    """Return the differences of the shop's two runs."""
    base, head = changed_orders()
    groups, comparison = Groups(), RunDiff()
    for diff in comparison.compare(lines_of(base), lines_of(head)):
        groups.add(diff)
    return groups, comparison.summary


def text(line: Line) -> str:
    """Return a line without its styles."""
    return "".join(part for part, _ in line)


def failing(*changes: Change, **more: Any) -> QueryDiff:
    """Return a query that no longer passes."""
    return QueryDiff("q", 1, "changed", ("passed", "failed"), changes, **more)


def test_identical_changes_are_one_line_with_their_counts() -> None:
    """Verdicts that changed come first, then each shared change with its counts, then the changes of single queries."""
    shown = [text(line) for block in blocks(orders()[0]) for line in block]
    assert shown == [
        "~ 3 queries  passed → failed: apple, pear, plum",
        "~ price → error: Unknown tool: price: 3 queries, 3 calls  (all worse)",
        '    apple, pear, plum; first: call 0  price{item: "apple"}',
        "~ get_order → state: shipped → in_transit: 10 queries, 59 calls",
        "    track-0, track-1, track-2, track-3, track-4 and 5 more; first: call 0  get_order{id: 0}",
        "~ basket  passed",
        '    call 0  total{items: {"milk": 1}}',
        "      - sum: 12.5",
        "      + sum: 10.0",
        "      - shipping: 2.5",
        "      + shipping: 0.0",
        "~ terms  passed",
        '    call 0  terms{language: "en"}',
        "        Paragraph 19 of the terms of delivery.",
        "      - Paragraph 20 of the terms of delivery.",
        "      + Paragraph 20 of the new terms of delivery.",
        "        Paragraph 21 of the terms of delivery.",
        "- gone  passed  missing query, only in BASE",
        "+ new  failed  new query, not in BASE",
    ]


def test_markdown_shows_the_tools_first_and_signs_in_the_first_column() -> None:
    """Markdown has the tools' changes first, and `-` and `+` in the first column. A new error has the sign `!`."""
    groups, totals = orders()
    page = "\n".join(markdown(groups, [ToolChange("price", "tool_renamed", True, "removed")], totals))
    assert page.index("server tools") < page.index("passed → failed") < page.index("get_order")
    assert "<summary><code>~ get_order → state: shipped → in_transit: 10 queries, 59 calls</code></summary>" in page
    assert "\n- state: shipped\n+ state: in_transit\n" in page
    assert "\n! error: Unknown tool: price\n" in page
    assert not re.search(r"^\s+[-+]", page, re.MULTILINE)
    assert not re.search(r"^\+ .*(error|failed)", page, re.MULTILINE)
    assert len(page.splitlines()) < 80


def test_markdown_says_how_many_changes_it_omits() -> None:
    """Changes that do not fit are counted."""
    groups = Groups()
    for at in range(30):
        change = Change("result", f"{at}" * 300, f"-{at}" * 300, 0, f"tool_{at}")
        groups.add(QueryDiff(f"q-{at}", 1, "changed", ("passed", "passed"), (change,)))
    page = "\n".join(markdown(groups, [], DiffSummary(changed=30), max_bytes=20_000))
    (omitted,) = re.findall(r"^Omitted: (\d+) more changes\. Run `mcprun diff` to see all", page, re.MULTILINE)
    assert page.count("<details>") + int(omitted) == 30


@pytest.mark.parametrize(
    "diff",
    [
        failing(Change("result", 5, "no", 0, "t", {}, (False, True))),
        failing(Change("result", "no", "not at all", 0, "t", {}, (True, True))),
        failing(Change("result", "no\nno", "not\nat all", 0, "t", {}, (True, True))),
        failing(Change("stop", "end_turn", "timeout (query_timeout)")),
        failing(Change("fault", None, "this query could not be compared")),
        QueryDiff("q", 1, "added", (None, "failed")),
        QueryDiff("q", 1, "added", (None, "error")),
        QueryDiff("q", None, "added", rates=(None, Rate(0, 3))),
    ],
)
def test_an_error_is_never_green(diff: QueryDiff) -> None:
    """No part of a new error, of a failed query or of a fault is green, in colour or as `+` in a fence."""
    shown = list(lines(diff))
    assert not [part for line in shown for part in line if "green" in part[1] and part[0]]
    assert not [line for line in map(diff_line, shown) if line.startswith("+")]


def test_an_error_that_is_gone_is_green() -> None:
    """A result in place of an error is an improvement."""
    change = Change("result", "no", 5, 0, "t", {}, (True, False))
    shown = lines(QueryDiff("q", 1, "changed", ("failed", "passed"), (change,)))
    assert [text(line).strip() for line in shown if any("green" in style for _, style in line)] == [
        "~ q  failed → passed",
        "+ 5",
    ]


def test_the_words_that_differ_are_bold() -> None:
    """In a line that changed, only the words that differ are bold."""
    change = Change("result", {"note": "two red apples"}, {"note": "two green apples"}, 0, "t", {})
    *_, before, after = lines(QueryDiff("q", 1, "changed", ("passed", "passed"), (change,)))
    assert [part for part, style in (*before, *after) if style.startswith("bold")] == ["red", "green"]


def test_many_queries_are_named_and_counted() -> None:
    """Of many queries with the same new verdict, the first are named and the others counted."""
    groups = Groups()
    for at in range(700):
        groups.add(QueryDiff(f"q-{at}", 1, "changed", ("passed", "failed")))
    (block,) = [block for block in blocks(groups) if block]
    assert re.fullmatch(r"~ 700 queries  passed → failed: q-0, q-1, .*, q-19 and 680 more", text(block[0]))


def test_pass_rates_within_chance_are_listed() -> None:
    """Queries whose pass rate moved within chance are listed with both rates, and counted in the totals."""
    moved = [MovedRate(f"q-{at}", (Rate(3, 6), Rate(2, 6)), 1.0) for at in range(30)]
    shown = [text(line) for line in moved_lines(moved, 40)]
    assert shown[0] == "= q-0  3/6 → 2/6 passed, within chance (p = 1)"
    assert (len(shown), shown[-1]) == (21, "… and 20 more queries with another pass rate, within chance")
    assert summary(DiffSummary(same=7, chance=2)) == "7 unchanged; 2 pass rates moved, within chance"
    page = "\n".join(markdown(Groups(), [], DiffSummary(same=40, chance=40), notes=Notes(moved)))
    assert "q-0  3/6 → 2/6 passed" in page


def test_a_value_with_many_forms_is_shown_with_examples() -> None:
    """A value that is another one in each query is one block with a few examples."""
    groups = Groups()
    for at in range(500):
        change = Change("result", {"at": at}, {"at": at + 5_000}, 0, "now", {})
        groups.add(QueryDiff(f"q-{at}", 1, "changed", ("passed", "passed"), (change,)))
    shown = [text(line) for block in blocks(groups) for line in block]
    assert shown[0] == "~ now → at: 500 queries, 500 calls, more than 200 different values"
    assert (shown[2], shown[3], shown[-1]) == ("      - at: 0", "      + at: 5000", "        … and other values")


def test_a_cause_names_an_identical_change_once() -> None:
    """The cause of a regressed query has the change of its first call, and the number of calls that changed alike."""
    changes = [Change("result", {"s": "a"}, {"s": "b"}, at, "t", {"n": at}) for at in range(6)]
    diff = QueryDiff("q", 1, "changed", ("passed", "passed"), tuple(changes), is_regression=True, examples=(1, 1))
    assert query_change(diff).cause == "regressed: call 0 t{n: 0}: s: a → b (6 calls)"
    shown = query_change(replace(diff, changes=tuple(changes[:1]))).cause
    assert shown == "regressed: call 0 t{n: 0}: s: a → b"


def test_a_change_that_is_not_of_a_call_is_named_by_its_kind() -> None:
    """A shared change of the stop reason has no tool, and counts queries only."""
    groups = Groups()
    for name in "pq":
        groups.add(QueryDiff(name, 1, "changed", ("passed", "error"), (Change("stop", "end_turn", "max_turns"),)))
    shown = [text(block[0]) for block in blocks(groups) if block]
    assert shown == ["~ 2 queries  passed → error: p, q", "~ stop: end_turn → max_turns: 2 queries  (all worse)"]
