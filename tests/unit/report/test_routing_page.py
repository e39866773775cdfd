"""The section about routing in the page of a run, and its queries."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.analysis.routing.measure import routing_of
from mcprun.report.html.conversation import conversation_json
from mcprun.report.html.routing import RoutingRows, RoutingView
from mcprun.report.html.run_page import report
from mcprun.report.text import visible
from mcprun.runs.run import Run
from mcprun.runs.transcript import RoutedCall, Transcript
from tests.support.facts import EVIL
from tests.support.markup import _Markup
from tests.support.routed_runs import PLANTED, ROUTE, routed, ungraded
from tests.support.runs import broken, transcript, write_run


def viewed(*transcripts: Transcript) -> RoutingView:
    return collected(*transcripts).view()


def collected(*transcripts: Transcript) -> RoutingRows:
    rows = RoutingRows()
    for one in transcripts:
        rows.add(one)
    return rows


def page(folder: Path, *transcripts: Transcript, is_routed: bool = True) -> str:
    path = write_run(folder / "run", transcripts, route=ROUTE if is_routed else None)
    return "".join(report(Run.read(str(path))))


def test_the_heat_map_is_the_planted_matrix() -> None:
    """Rows are what was expected, columns what was called; a cell is shaded by its share of the row."""
    view = viewed(*PLANTED)
    assert [one.name for one in view.columns] == ["close_issue", "get_issue", "(several)", "(none)"]
    assert {row.heading.name: [cell.text for cell in row.cells] for row in view.rows} == {
        "close_issue": ["", "", "1", "1"],
        "get_issue": ["2", "4", "", ""],
        "(none)": ["1", "", "", "1"],
    }
    cells = view.rows[1].cells
    assert [(cell.shade, cell.is_right) for cell in cells[:2]] == [(2, False), (4, True)]
    assert cells[0].link == "#expected=get_issue&called=close_issue"
    assert cells[0].title == "expected get_issue, called close_issue: 2 of 6 queries"
    assert (view.right, view.left_out) == ("4 of 10 (40 %) right, 95 % interval 17 to 69 %", "")
    assert (view.inputs, view.inputs_of) == ("75 %", "3 of 4 calls of the expected tool")


def test_the_table_has_the_rates_of_each_tool() -> None:
    """Those with most wrong turns come first; a rate of nothing is empty."""
    view = viewed(*PLANTED)
    assert [(one.name, one.link, [rate.text for rate in one.rates]) for one in view.tools] == [
        ("close_issue", "#tool=close_issue", ["0 % (0/3)", "0 % (0/2)", ""]),
        ("get_issue", "#tool=get_issue", ["80 % (4/5)", "67 % (4/6)", "75 % (3/4)"]),
        ("delete_issue", "#tool=delete_issue", ["0 % (0/1)", "", ""]),
    ]


def test_each_row_of_the_table_has_its_labels() -> None:
    """Queries that were not graded, and errors, have none."""
    rows = collected(routed("a", "x", "y"), ungraded("b"), broken("c", "api_error", "no"), routed("d", "", "x y"))
    data = rows.data()
    labels = data["labels"]
    assert [row and [labels[at] for at in row] for row in data["rows"]] == [
        ["x", "y"], None, None, ["(none)", "(several)"],
    ]  # fmt: skip


def test_a_tool_in_brackets_is_not_taken_for_no_tool() -> None:
    """The labels of the matrix stay apart."""
    view = viewed(routed("a", "(none)", ""), routed("b", "none", "several"))
    assert [one.name for one in view.columns] == ["several", "(none)"]
    assert [row.heading.name for row in view.rows] == ["tool (none)", "none"]


def test_a_large_matrix_keeps_the_confusions() -> None:
    """With more than 40 labels, tools that are always right are left out first, and counted."""
    names = [f"a_long_name_of_a_tool_that_is_right_{n:02}" for n in range(60)]
    confused = [routed(f"c{n}", f"wrong_{n}", "close") for n in range(5)]
    view = viewed(*(routed(name, name, name) for name in names), *confused)
    assert len({one.name for one in view.columns} | {row.heading.name for row in view.rows}) == 40
    assert {f"wrong_{n}" for n in range(5)} <= {row.heading.name for row in view.rows}
    assert view.left_out == "26 tools with fewer confusions and queries left out, and with them 26 queries"
    assert view.columns[0].short == "a_long_nam…is_right_00"
    assert len(view.tools) == 66


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "a", "b", "a b"]), st.sampled_from(["", "a", "c", "b c"])), max_size=20))
def test_the_cells_add_up_to_the_graded_queries(pairs: list[tuple[str, str]]) -> None:
    """Each graded query is in exactly one cell, and the page counts as the measurement does."""
    transcripts = [routed(f"q{n}", *pair) for n, pair in enumerate(pairs)]
    view = viewed(*transcripts)
    assert sum(int(cell.text or 0) for row in view.rows for cell in row.cells) == len(pairs)
    matrix = routing_of(transcripts).matrix
    assert all(cell.link or not cell.text for row in view.rows for cell in row.cells)
    assert (len(view.rows), len(view.columns)) == (len(matrix.rows), len(matrix.columns))


def test_the_page_of_a_routed_run_has_no_coverage_and_no_calls(tmp_path: Path) -> None:
    """It has the section, and tiles of what a routed run has."""
    text = page(tmp_path, *PLANTED)
    assert 'id="routing"' in text
    assert "<dt>Inputs right</dt>" in text
    assert "<dt>Tool calls</dt>" not in text
    assert 'id="coverage"' not in text
    assert "not graded: the query has no expect.calls" in text


def test_other_runs_have_no_section(tmp_path: Path) -> None:
    """Their page is as before."""
    text = page(tmp_path, transcript("a"), is_routed=False)
    assert 'id="routing"' not in text
    assert "<dt>Tool calls</dt>" in text


@pytest.mark.parametrize("transcripts", [[], [ungraded("a")], [broken("a", "api_error", "no")]])
def test_a_page_without_a_graded_query_says_so(tmp_path: Path, transcripts: list[Transcript]) -> None:
    """There is no empty table."""
    text = page(tmp_path, *transcripts)
    assert "No query was graded" in text
    assert "<table" not in text.partition('id="routing"')[2].partition("</section>")[0]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Tools that the model made up can't become markup, or leave the address."""
    evil = routed("a", "x", "", routed=[RoutedCall(tool=EVIL, input={EVIL: EVIL})])
    text = page(tmp_path, evil)
    markup = _Markup(text)
    assert "b" not in markup.elements
    assert markup.islands["data"]["routing"]["labels"] == ["x", visible(EVIL)]
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_query_shows_its_requests_and_what_was_expected() -> None:
    """Requests have an input and no result."""
    value = conversation_json(routed("a", "close_issue", "get_issue"))
    assert value["items"][2:] == [
        {"kind": "request", "title": "get_issue{id: 1}", "input": '{\n  "id": 1\n}'},
        {"kind": "expected", "text": "close_issue"},
    ]
    assert conversation_json(routed("a", "", ""))["items"][-1] == {"kind": "expected", "text": "no call"}
    skipped = conversation_json(ungraded("b"))
    assert (skipped["checks"], skipped["items"]) == (
        [], [{"kind": "note", "text": "not graded: the query has no expect.calls."}],
    )  # fmt: skip
