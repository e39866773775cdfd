"""The charts of a run's page in Chromium: clicks, keys, text alternatives and limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from mcprun.report.html.page import write_page
from mcprun.report.html.run_page import report
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript
from tests.support.browser import CHROMIUM, CONTRAST, Opened, opened
from tests.support.large_runs import write_large_run
from tests.support.routed_runs import PLANTED, ROUTE
from tests.support.runs import JsonObject, call, event, failed, trace_of, transcript, write_run

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]

TURNS = 40


def long_conversation() -> tuple[Transcript, list[JsonObject]]:
    """Return a query of 40 turns with two calls each, two of which failed, and its trace: 121 spans without waits."""
    errors = {31, 62}
    calls_made = [call("stock", f"{at}", turn=at // 2, is_error=at in errors) for at in range(2 * (TURNS - 1) + 2)]
    messages: list[JsonObject] = [{"role": "user", "content": "Count."}]
    trace = [event("run_start", 0, queries=1, done=0, model="m", chosen="a test")]
    for turn in range(TURNS):
        at = turn * 1000
        uses = [{"type": "tool_use", "id": f"t{turn}-{n}", "name": "stock", "input": {}} for n in range(2)]
        messages += [{"role": "assistant", "content": uses}, {"role": "user", "content": []}]
        trace.append(event("model_call", at + 500, query="long", turn=turn, seconds=0.5, model="m"))
        trace += [
            event("tool_call", at + 900, query="long", turn=turn, seconds=0.4, call=2 * turn + n, tool="stock",
                  is_error=2 * turn + n in errors, log_offset=0)
            for n in range(2)
        ]  # fmt: skip
    end = TURNS * 1000
    trace.append(event("attempt_end", end, query="long", seconds=end / 1000, waited=0.0, stop="end_turn"))
    trace.append(event("query_end", end, query="long", seconds=end / 1000, verdict="failed", worker=0))
    return failed("long", "too many", *calls_made, messages=messages), trace


def page_of(run: Path) -> Path:
    """Write the page of a run beside it."""
    file = run.with_suffix(".html")
    write_page(file, report(Run.read(str(run))))
    return file


@pytest.fixture(scope="module")
def long_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a run with one query of 40 turns."""
    one, trace = long_conversation()
    return page_of(write_run(tmp_path_factory.mktemp("long") / "run", [one, transcript("none")], trace))


@pytest.fixture
def timeline(browser: Browser, long_page: Path) -> Iterator[Opened]:
    """Open the query of 40 turns, and check afterwards that the page logged no error."""
    with opened(browser, long_page, "#q=long", viewport={"width": 1440, "height": 900}) as one:
        yield one
        assert one.complaints == []


def test_a_timeline_says_which_of_its_spans_are_in_view(timeline: Opened) -> None:
    """All 160 spans are listed, idle times included, and the status names those in view while the list scrolls."""
    expect(timeline.page.locator("#open .waterfall li")).to_have_count(4 * TURNS)
    status = timeline.page.locator("#open .waterfall .note [role=status]")
    expect(status).to_have_text(f"Spans 1 to 22 of {4 * TURNS}.")
    timeline.page.locator("#open .waterfall ol").focus()
    timeline.page.keyboard.press("End")
    expect(status).to_have_text(f"Spans {4 * TURNS - 21} to {4 * TURNS} of {4 * TURNS}.")


def test_the_minimap_shows_everything_and_scrolls_the_list(timeline: Opened) -> None:
    """It draws every span and a tick for each error, frames the part in view, and a click scrolls to that time."""
    minimap = timeline.page.get_by_role("img", name="Whole timeline: 160 spans in 40 s, 2 errors")
    expect(minimap.locator("rect.span")).to_have_count(4 * TURNS)
    expect(minimap.locator("rect.tick")).to_have_count(2)
    box: Any = minimap.bounding_box()
    minimap.click(position={"x": box["width"] * 0.5, "y": 10})
    expect(timeline.page.locator("#open .waterfall li", has_text="turn 20")).to_be_in_viewport()
    expect(timeline.page.locator("#open .waterfall .note [role=status]")).not_to_contain_text("Spans 1 to")
    x, width = (float(str(minimap.locator(".brush").get_attribute(name))) for name in ("x", "width"))
    assert 450 < x < 510
    assert 100 < width < 200


def test_waiting_and_idle_time_are_named(timeline: Opened) -> None:
    """The bar above has a legend with the seconds of each part, and each idle time is a row."""
    assert timeline.texts("#open .waterfall .legend .key") == ["model 20 s", "calls 16 s", "idle 4 s"]
    assert timeline.texts("#open .waterfall li .what.idle") == ["idle"] * TURNS
    expect(timeline.page.get_by_role("img", name="model 20 s, calls 16 s, idle 4 s")).to_be_visible()


def test_a_bar_leads_to_its_call(timeline: Opened) -> None:
    """A click on a call of the timeline unfolds it, and the address names it."""
    timeline.page.get_by_role("link", name="call 7 stock").click()
    expect(timeline.page.locator(".items details[data-call='7']")).to_have_attribute("open", "")
    expect(timeline.page.locator(".items details[data-call='7'] summary")).to_be_in_viewport()
    assert "call=7" in timeline.page.url


def test_errors_are_reached_one_after_the_other(timeline: Opened) -> None:
    """A button scrolls to the next error and focuses it, so that Enter opens its call."""
    for number in (31, 62, 31):
        timeline.page.get_by_role("button", name="Next of 2 errors").click()
        expect(timeline.page.locator("#open .waterfall a:focus")).to_contain_text(f"call {number} stock")
    timeline.page.keyboard.press("Enter")
    expect(timeline.page.locator(".items details[data-call='31'] summary")).to_be_focused()


def test_a_query_without_a_trace_says_so(browser: Browser, long_page: Path) -> None:
    """The place of the timeline explains its absence."""
    with opened(browser, long_page, "#q=none") as one:
        assert "Not available: the run has no trace of this query." in one.page.locator("#open aside").inner_text()


@pytest.fixture(scope="module")
def tools_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a run whose calls have every outcome."""
    late = call("refund", "No answer", is_error=True, problem="timeout")
    error, ok, diverged = call("refund", "no", is_error=True), call("refund", "yes"), call("stock", "3", diverged=True)
    rows = [
        transcript("fine", ok), failed("refused", "was refused", error, call("stock", "1")), failed("late", "was late", late),
        transcript("both", call("stock", "1", is_error=True), ok), transcript("changed", diverged),
    ]  # fmt: skip
    return page_of(write_run(tmp_path_factory.mktemp("tools") / "run", rows, trace_of(rows)))


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("1 error: queries with such a call of refund", ["refused"]),
        ("1 timeout: queries with such a call of refund", ["late"]),
        ("2 ok: queries with such a call of refund", ["both", "fine"]),
        ("1 error: queries with such a call of stock", ["both"]),
        ("1 diverged: queries with such a call of stock", ["changed"]),
        ("refund", ["both", "fine", "late", "refused"]),
    ],
)
def test_a_cell_filters_the_table(browser: Browser, tools_page: Path, cell: str, names: list[str]) -> None:
    """A click on a cell, or Enter, lists the queries with such a call of that tool, and the address keeps it."""
    with opened(browser, tools_page) as one:
        one.page.get_by_role("link", name=cell, exact=True).press("Enter")
        expect(one.page.locator(".status")).to_contain_text(f"{len(names)} quer")
        assert sorted(one.texts("table.rows td.name a")) == names
        one.page.reload()
        assert sorted(one.texts("table.rows td.name a")) == names
        one.page.get_by_label("Any tool").select_option("Any tool")
        one.page.get_by_label("Any outcome").select_option("error")
        expect(one.page.locator(".status")).to_contain_text("2 queries")
        assert sorted(one.texts("table.rows td.name a")) == ["both", "refused"]
        assert one.complaints == []


def test_the_heat_map_needs_no_javascript(browser: Browser, tools_page: Path) -> None:
    """Its numbers are in the page."""
    with opened(browser, tools_page, java_script_enabled=False) as one:
        assert [row.split()[:6] for row in one.texts("table.heat tbody tr")] == [
            ["stock", "3", "2", "1", "0", "1"],
            ["refund", "4", "2", "1", "1", "0"],
        ]


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of more queries than have timelines."""
    return page_of(write_large_run(tmp_path_factory.mktemp("large") / "run", 2_040))


def test_a_large_page_says_which_timelines_it_leaves_out(browser: Browser, large_page: Path) -> None:
    """Queries that did not pass have timelines. The page counts the others, and each names the command that shows it."""
    with opened(browser, large_page) as one:
        note = one.page.locator(".note", has_text="Timelines in this file").inner_text()
        assert note.startswith(
            "Timelines in this file: 121 of 2,040. In a run of more than 2,000 queries, those that passed"
        )
        one.page.goto(f"{large_page.as_uri()}#q=order-00016")
        expect(one.page.locator("#open .waterfall li")).to_have_count(4)
        one.page.goto(f"{large_page.as_uri()}#q=order-00017")
        command = one.page.locator("#open aside code").inner_text()
        assert command.endswith("run order-00017 --trace")
        assert one.complaints == []


def test_tokens_have_stacked_bars_with_text_alternatives(browser: Browser, large_page: Path) -> None:
    """The run, its tools and its most expensive queries have bars, and so has each conversation."""
    with opened(browser, large_page, viewport={"width": 1440, "height": 900}) as one:
        section = one.page.locator("#tokens")
        assert section.locator("h2").inner_text().startswith("Tokens")
        assert [text.split()[0] for text in section.locator(".legend .key").all_inner_texts()] == [
            "definitions", "messages", "results", "output",
        ]  # fmt: skip
        assert "9,751,200 tokens in all" in section.locator(".legend").inner_text()
        expect(section.locator("svg.stacked")).to_have_count(1 + 4 + 10)
        expect(section.get_by_role("link", name="never_called")).to_have_count(0)
        section.get_by_role("link", name="refund").click()
        expect(one.page.locator(".status")).to_contain_text("72 queries")
        one.page.goto(f"{large_page.as_uri()}#q=order-00016")
        bar = one.page.locator("#open svg.stacked")
        assert bar.get_attribute("aria-label") == "definitions 4,392, messages 149, results 59, output 180"
        assert one.complaints == []


def test_lanes_show_workers_and_restarts(browser: Browser, large_page: Path) -> None:
    """Each worker has a lane, restarts are lines, and a sentence says the same."""
    with opened(browser, large_page, viewport={"width": 1440, "height": 900}) as one:
        section = one.page.locator("#lanes")
        section.scroll_into_view_if_needed()
        expect(section.locator("line.restart")).to_have_count(2)
        assert section.locator(".note").first.inner_text() == (
            "12 workers, 2,040 queries in 6 min 02 s. 2 restarts of a server (dashed lines) at 6.4 s, 1 min 47 s."
            " Tall bars are queries that failed (red) or ended in an error (orange)."
        )
        box: Any = section.locator(".lanes").bounding_box()
        section.locator(".lanes").hover(position={"x": 8, "y": box["height"] * 4.5 / 12})
        assert section.locator("[role=status]").inner_text() == "order-00004: passed, 2.01 s, at 0 ms, worker 4"
        section.locator(".lanes").click(position={"x": 8, "y": box["height"] * 4.5 / 12})
        expect(one.page.locator("#open h1")).to_contain_text("order-00004")
        assert one.complaints == []


def test_lanes_can_be_read_with_the_keyboard(browser: Browser, large_page: Path) -> None:
    """Arrow keys select a query, which is named, and Enter opens it."""
    with opened(browser, large_page) as one:
        lanes = one.page.locator(".lanes")
        lanes.focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
            lanes.press(key)
        expect(one.page.locator("#lanes [role=status]")).to_contain_text("order-00013: passed")
        lanes.press("Enter")
        expect(one.page.locator("#open h1")).to_contain_text("order-00013")
        assert one.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1024, 1440])
def test_charts_fit_and_are_readable(browser: Browser, tools_page: Path, width: int, scheme: Any) -> None:
    """Nothing scrolls sideways, not even within the heat map, and all text has enough contrast."""
    size: Any = {"width": width, "height": 900}
    with opened(browser, tools_page, viewport=size, color_scheme=scheme) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width
        assert one.page.locator(".across").evaluate("one => one.scrollWidth - one.clientWidth") <= 0
        assert one.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1024, 1440])
def test_a_timeline_fits_and_is_readable(browser: Browser, long_page: Path, width: int, scheme: Any) -> None:
    """Nothing scrolls sideways, and all text has enough contrast."""
    size: Any = {"width": width, "height": 900}
    with opened(browser, long_page, "#q=long", viewport=size, color_scheme=scheme) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width
        assert one.page.evaluate(CONTRAST) == []


def test_a_cell_of_the_confusion_matrix_filters_the_queries(browser: Browser, tmp_path: Path) -> None:
    """A click lists the queries of the cell, a tool those whose first turn calls it, and a query its requests."""
    path = write_run(tmp_path / "run", PLANTED, route=ROUTE)
    write_page(tmp_path / "page.html", report(Run.read(str(path))))
    with opened(browser, tmp_path / "page.html") as one:
        one.page.get_by_role("link", name="expected get_issue, called close_issue: 2 of 6 queries").click()
        expect(one.page.locator("#queries .status")).to_have_text("2 queries (filtered from 11)")
        assert one.texts("#queries tbody .name a") == ["taken-0", "taken-1"]
        assert one.page.url.endswith("#expected=get_issue&called=close_issue")
        one.page.locator("#routing .rates a", has_text="delete_issue").click()
        expect(one.page.locator("#queries .status")).to_have_text("1 query (filtered from 11)")
        one.page.locator("#queries tbody a").click()
        expect(one.page.locator("#open .items")).to_contain_text("expected")
        assert one.texts("#open .items summary code") == ["get_issue{id: 1}", "delete_issue{id: 1}"]
        assert one.complaints == []
