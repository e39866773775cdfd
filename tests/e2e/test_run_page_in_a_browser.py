"""A run's page in Chromium: its causes, the order of its queries, and the state that its address keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from mcprun.report.html.page import write_page
from mcprun.report.html.run_page import report
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.run import Run
from mcprun.runs.transcript import Check, Transcript, Verdict
from tests.support.browser import CHROMIUM, Opened, opened
from tests.support.red_runs import make
from tests.support.runs import broken, call, failed, trace_of, transcript, write_run
from tests.support.stepped_runs import closed, not_set_up, step_events, still_open

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]

TIMES = "\N{MULTIPLICATION SIGN}"
LAPTOP = {"width": 1440, "height": 900}


def refused(number: int) -> Transcript:
    """Return a query whose refund was refused."""
    text = f"limit exceeded ({250 + number} > 200)"
    made = call("refund", text, input={"order": f"B-{number}"}, is_error=True)
    checks = [Check(check="tool_errors", passed=False, message=f"call 0: refund{{}} returned an error: '{text}'")]
    return transcript(f"refund-{number}", made, verdict=Verdict.FAILED, checks=checks, prompt="Refund it.")


def queries() -> list[Transcript]:
    """Return queries of every verdict, those that passed first."""
    wrong = [Check(check="text.contains", passed=False, message="expected text with '12 pieces', got '21 chairs.'")]
    stock = call("stock", "21")
    return [
        *(transcript(f"order-{number}", call("get_order", "shipped"), call("stock", "3")) for number in range(30)),
        transcript("drift", call("get_order", "late", diverged=True)),
        *(transcript("dice", call("roll", str(number)), repeat=number) for number in (1, 2)),
        transcript("stock-0", stock, verdict=Verdict.FAILED, checks=wrong),
        *map(refused, range(5)),
        broken("export", "server_died", "the server exited with code 3", call("export", "")),
        transcript("late", verdict=Verdict.SKIPPED, stop="cancelled"),
    ]


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a red run."""
    folder = tmp_path_factory.mktemp("red")
    all_ = queries()
    rolled = summarize_repeats("dice", dict.fromkeys(Verdict, 1), 0.1)
    path = write_run(folder / "run", all_, trace_of(all_), repeats=[rolled])
    write_page(folder / "red.html", report(Run.read(str(path))))
    return folder / "red.html"


@pytest.fixture
def page(browser: Browser, red: Path) -> Iterator[Opened]:
    """Open the page of the red run. After the test, check that it logged no error."""
    with opened(browser, red, viewport=LAPTOP) as one:
        yield one
        assert one.complaints == []


def names(page: Opened) -> list[str]:
    """Return the query names in the table."""
    return page.texts("table.rows td.name a")


FIRST = ["export", "stock-0", "refund-0", "refund-1", "refund-2", "refund-3", "refund-4", "dice", "dice (2)", "drift"]


def test_the_causes_are_on_the_first_screen(page: Opened) -> None:
    """The causes are below the bar of verdicts, the most frequent first, and above everything else."""
    assert page.page.locator("svg.verdicts ~ section").first.get_attribute("class") == "why"
    rows = page.page.locator(".causes > li")
    assert [" ".join(text.split()) for text in rows.all_inner_texts()] == [
        f"5 {TIMES} refund: limit exceeded (… > 200) refund refund-0 refund-1 refund-2 refund-3 refund-4 show 5",
        f"1 {TIMES} expected text with '12 pieces', got '21 chairs.' stock stock-0 show 1",
        f"1 {TIMES} server_died: the server exited with code 3 export export show 1",
    ]
    last = rows.last.bounding_box()
    assert last
    assert last["y"] + last["height"] < 900


def test_a_cause_selects_its_queries(page: Opened) -> None:
    """The link "show 5" lists the 5 queries of a cause, and the back button all again. An id opens its query."""
    page.page.get_by_role("link", name="show 5").click()
    assert names(page) == [f"refund-{number}" for number in range(5)]
    assert page.page.url.endswith("#cause=1")
    page.page.go_back()
    assert names(page) == FIRST
    page.page.get_by_role("combobox", name="Any cause").select_option(index=2)
    assert names(page) == ["stock-0"]
    page.page.locator(".causes").get_by_role("link", name="refund-3").click()
    expect(page.page.locator("#open h1")).to_have_text("failed refund-3")


def test_what_needs_a_look_is_listed_first(page: Opened) -> None:
    """Errors, failures, flaky and diverged queries come first. The others are one line, which unfolds."""
    assert names(page) == FIRST
    line = page.page.locator("button.fold")
    expect(line).to_have_text("30 passed, 1 skipped: show")
    expect(line).to_have_attribute("aria-expanded", "false")
    line.click()
    assert names(page) == [*FIRST, *(f"order-{number}" for number in range(30)), "late"]
    expect(line).to_have_text("30 passed, 1 skipped: hide")
    page.page.reload()
    assert len(names(page)) == 41
    line.click()
    assert names(page) == FIRST


def test_filters_find_folded_queries(page: Opened) -> None:
    """A filter and a search cover queries that passed, although they are folded. With repeats, runs are counted."""
    page.page.get_by_role("button", name="passed 33").click()
    assert page.texts(".status") == ["33 runs (filtered from 41)"]
    expect(page.page.locator("button.fold")).to_be_hidden()
    page.page.get_by_role("button", name="passed 33").click()
    page.page.locator("#search").fill("order-17")
    page.page.locator("#search").press("Enter")
    assert names(page) == ["order-17"]


def test_charts_are_below_the_table_of_a_red_run(page: Opened, browser: Browser, tmp_path: Path) -> None:
    """The table of a red run comes before its charts, that of a green run after them."""
    below = "document.querySelector('#queries').compareDocumentPosition(document.querySelector('.panels')) & 4"
    assert page.page.evaluate(below) == 4
    one = [transcript("a", call("t", "1"))]
    path = write_run(tmp_path / "run", one, trace_of(one))
    write_page(tmp_path / "green.html", report(Run.read(str(path))))
    with opened(browser, tmp_path / "green.html") as green:
        assert green.page.evaluate(below) == 0
        expect(green.page.locator(".why")).to_have_count(0)
        expect(green.page.locator("button.fold")).to_be_hidden()
        assert names(green) == ["a"]


def test_the_state_survives_reload(page: Opened) -> None:
    """Filters, search, order and the open query with its call are in the address, and shown again after a reload."""
    page.page.get_by_role("button", name="failed 6").click()
    page.page.get_by_role("combobox", name="Any tool").select_option("refund")
    page.page.locator("#search").fill("limit exceeded")
    page.page.locator("#search").press("Enter")
    page.page.get_by_role("button", name="Query", exact=True).click()
    assert page.page.url.endswith("#f=failed&tool=refund&s=limit%20exceeded&sort=-query")
    page.page.reload()
    assert names(page) == [f"refund-{number}" for number in (4, 3, 2, 1, 0)]
    expect(page.page.get_by_role("button", name="failed 6")).to_have_attribute("aria-pressed", "true")
    expect(page.page.get_by_role("combobox", name="Any tool")).to_have_value("refund")
    expect(page.page.locator("#search")).to_have_value("limit exceeded")
    expect(page.page.locator("table.rows th", has_text="Query")).to_have_attribute("aria-sort", "descending")
    page.page.get_by_role("link", name="refund-3", exact=True).last.click()
    page.page.locator("[data-call] summary").click()  # it was unfolded, because it failed
    page.page.locator("[data-call] summary").click()
    assert page.page.url.endswith("#f=failed&tool=refund&s=limit%20exceeded&sort=-query&q=refund-3&call=0")
    page.page.reload()
    expect(page.page.locator("#open h1")).to_have_text("failed refund-3")
    assert page.page.evaluate("document.activeElement.closest('[data-call]').open")
    page.page.keyboard.press("Escape")
    assert names(page) == [f"refund-{number}" for number in (4, 3, 2, 1, 0)]
    assert page.page.url.endswith("sort=-query")


def test_a_call_in_the_address_is_unfolded(browser: Browser, red: Path) -> None:
    """A link to a call unfolds it and moves the focus there. Folding it removes it from the address."""
    with opened(browser, red, "#q=order-3&call=1") as one:
        shown = one.page.locator("[data-call='1']")
        expect(shown).to_have_attribute("open", "")
        expect(one.page.locator("[data-call='0']")).not_to_have_attribute("open", "")
        expect(shown.locator("summary")).to_be_focused()
        shown.locator("summary").click()
        assert one.page.url.endswith("#all=1&q=order-3")


@pytest.mark.parametrize(
    ("fragment", "said"),
    [
        ("#q=nope", "Not on this page: query “nope”."),
        ("#q=%E0%A4%A", "Not on this page: query “%E0%A4%A”."),
        ("#q=__proto__&tool=constructor", "Not on this page: tool “constructor”, query “__proto__”."),
        ("#f=failed,nope&sort=nope", "Not on this page: filter “nope”, column “nope”."),
        ("#cause=99&tool=gone", "Not on this page: cause “99”, tool “gone”."),
        ("#q=stock-0&call=7", "Not on this page: call “7”."),
    ],
)
def test_an_unknown_part_of_the_address_is_named(browser: Browser, red: Path, fragment: str, said: str) -> None:
    """An address that names what the page does not have says so, and the rest of it still counts."""
    with opened(browser, red, fragment) as one:
        expect(one.page.get_by_role("alert")).to_have_text(said)
        assert one.complaints == []
        one.page.goto(f"{red.as_uri()}#q=stock-0")
        expect(one.page.get_by_role("alert")).to_be_hidden()
        expect(one.page.locator("#open h1")).to_have_text("failed stock-0")


def test_a_link_to_a_folded_query_has_its_neighbours(browser: Browser, red: Path) -> None:
    """A query that passed opens from its address, and the keys lead to those beside it."""
    with opened(browser, red, "#q=order-3") as one:
        one.page.keyboard.press("j")
        expect(one.page.locator("#open h1")).to_have_text("passed order-4")


def test_a_question_mark_lists_the_keys(page: Opened) -> None:
    """The key "?" and its button list the keys of the list or of the query. While they are shown, no key acts."""
    page.page.keyboard.press("?")
    dialog = page.page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    assert "search" in dialog.inner_text()
    page.page.keyboard.press("j")
    assert page.page.evaluate("document.activeElement.closest('table')") is None
    page.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.page.get_by_role("link", name="stock-0", exact=True).last.click()
    expect(page.page.locator("#open h1")).to_have_text("failed stock-0")  # the list, and its button, are now hidden
    page.page.get_by_role("button", name="Keys").click()
    assert "next query" in dialog.inner_text()
    page.page.keyboard.press("Escape")
    expect(page.page.locator("#open h1")).to_have_text("failed stock-0")
    page.page.keyboard.press("?")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def diverged() -> tuple[list[Transcript], list[Transcript]]:
    """Return the queries of a recording, and of its replay against a changed server."""
    order = {"order": "D-1", "state": "shipped", "lines": [{"sku": f"S-{number}", "count": 1} for number in range(40)]}
    late = {**order, "state": "in_transit", "eta": "Monday"}
    recorded = [
        transcript("drift", call("get_order", structured=order, input={"order": "D-1"})),
        transcript("stores", call("list_stores", "Harbour 7")),
        transcript("same", call("get_order", structured=order)),
    ]
    missing = call("list_stores", "Unknown tool: list_stores", is_error=True, diverged=True)
    now = [
        transcript("drift", call("get_order", structured=late, input={"order": "D-1"}, diverged=True)),
        failed("stores", "call 0: list_stores{} returned an error: 'Unknown tool'", missing),
        recorded[2],
    ]
    return recorded, now


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a replay, and its recording."""
    folder = tmp_path_factory.mktemp("replayed")
    recorded, now = diverged()
    write_run(folder / "recording", recorded)
    model = {"kind": "replay", "name": "replay:recording", "chosen": "--model"}
    run = write_run(folder / "run", now, model=model, folder=str(folder))
    write_page(folder / "run.html", report(Run.read(str(run))))
    return folder / "run.html"


def test_a_diverged_call_opens_as_recorded_and_now(browser: Browser, replayed: Path) -> None:
    """A call that diverged is unfolded, and shows only the paths that changed, the recorded value beside the new one."""
    with opened(browser, replayed, "#q=drift", viewport=LAPTOP) as one:
        shown = one.page.locator("[data-call='0']")
        expect(shown).to_have_attribute("open", "")
        assert shown.locator("table.paths thead th").all_inner_texts() == ["Path", "Recorded", "Now"]
        assert [row.split() for row in shown.locator("table.paths tbody tr").all_inner_texts()] == [
            ["structured.state", "-shipped", "+in_transit"],
            ["structured.eta", "(none)", "+Monday"],
        ]
        whole = shown.locator("pre", has_text="sku").last
        expect(whole).to_be_hidden()
        shown.get_by_text("Whole result").click()
        expect(whole).to_be_visible()
        assert one.complaints == []
    with opened(browser, replayed, "#q=stores") as one:
        after = one.page.locator("[data-call='0'] .line.after")
        assert after.evaluate("node => getComputedStyle(node).color") == one.page.locator("h1 .failed").first.evaluate(
            "node => getComputedStyle(node).color"
        )


def test_the_baseline_is_a_section_of_the_page(browser: Browser, tmp_path: Path) -> None:
    """The page counts what differs from the baseline, each count selects its queries, and regressed rows are marked."""
    with opened(browser, make("renamed", tmp_path).page, viewport=LAPTOP) as one:
        section = one.page.locator("section.against")
        assert section.locator("h2").inner_text() == "Against baseline"
        assert " ".join(section.locator("p").inner_text().split()) == (
            "3 now fail, 11 results changed, 1 tool renamed (list_stores → list_shops), 4 unchanged"
        )
        assert names(one)[:4] == ["stores-0", "stores-1", "stores-2", "order-0"]
        assert one.texts("td.verdict-cell .mark") == ["regressed"] * 14
        assert one.texts(".causes .message")[0].startswith("breaking tool change: list_stores → list_shops")
        section.get_by_role("link", name="3 now fail").click()
        assert names(one) == ["stores-0", "stores-1", "stores-2"]
        assert one.page.url.endswith("#baseline=now_fails")
        one.page.get_by_role("link", name="stores-1", exact=True).last.click()
        assert one.texts("#open .changes li")[0] == "passed → failed"
        one.page.locator("#open .changes a").click()
        assert one.page.url.endswith("#baseline=now_fails&q=stores-1&call=0")
        expect(one.page.locator("[data-call='0'] summary").first).to_be_focused()
        assert one.texts("[data-call='0'] table.paths thead th") == ["Path", "Baseline", "Now"]
        assert one.complaints == []


def test_a_red_run_prints_its_failures(page: Opened) -> None:
    """In print, the causes come first, then what failed, then its conversations. Other queries are one line."""
    page.page.emulate_media(media="print")
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    text = page.page.locator("body").inner_text()
    assert page.texts("#printed article h1") == [
        "error export", "failed stock-0", *(f"failed refund-{number}" for number in range(5))
    ]  # fmt: skip
    assert "order-3" not in text
    assert "30 passed, 1 skipped\n" in text
    first = [text.index(part) for part in ("Why it is red", "limit exceeded", "expected text with '12 pieces'")]
    assert first == sorted(first)
    printed = page.page.locator("#printed article").nth(2)
    expect(printed.locator("details[data-call] .labelled").first).to_be_visible()
    assert page.page.locator("#printed .control:visible").count() == 0
    page.page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.page.locator("#printed")).to_be_hidden()
    assert page.texts("#printed article") == []
    assert page.page.locator(".facts[open]").count() == 0


def test_a_filter_selects_what_is_printed(page: Opened) -> None:
    """Of the failures, those that the list shows are printed."""
    page.page.get_by_role("link", name="show 5").click()
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(page.texts("#printed article h1")) == 5


def test_a_green_run_prints_its_list(browser: Browser, tmp_path: Path) -> None:
    """A run without failures prints no conversation."""
    write_page(tmp_path / "green.html", report(Run.read(str(write_run(tmp_path / "run", [transcript("a")])))))
    with opened(browser, tmp_path / "green.html") as one:
        one.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(one.page.locator("#printed")).to_be_hidden()
        assert names(one) == ["a"]


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of queries with tags, metadata and expectations."""
    folder = tmp_path_factory.mktemp("tagged")
    held = [Check(check="text.contains", passed=True)]
    expect_text = {"text": {"contains": ["shipped"]}}
    path = write_run(folder / "run", [
        transcript("a", tags=["slow", "</script><b>"], metadata={"owner": "billing", "ticket": 7, "more": {"x": 1}}),
        transcript("b", tags=["slow"], metadata={"owner": "shipping"}, expect=expect_text, checks=held),
        transcript("c"),
    ])  # fmt: skip
    write_page(folder / "tagged.html", report(Run.read(str(path))))
    return folder / "tagged.html"


def test_tags_metadata_and_expectations_filter_the_table(browser: Browser, tagged: Path) -> None:
    """A tag, an entry of the metadata and a kind of expectation each select their queries, and stay in the address."""
    with opened(browser, tagged) as one:
        assert one.texts("td.name .tag") == ["slow", "</script><b>", "slow"]
        for label, choice, found, part in (
            ("Any tag", "slow", ["a", "b"], "tag=slow"),
            ("Any metadata", "owner: billing", ["a"], "metadata=owner%3A%20billing"),
            ("Any metadata", "ticket: 7", ["a"], "metadata=ticket%3A%207"),
            ("Any expectation", "text.contains", ["b"], "expectation=text.contains"),
        ):
            chooser = one.page.get_by_role("combobox", name=label)
            chooser.select_option(choice)
            assert (names(one), one.page.url.rpartition("#")[2]) == (found, part)
            one.page.reload()
            assert names(one) == found
            chooser.select_option(index=0)
        assert names(one) == ["a", "b", "c"]
        one.page.locator("#search").fill("billing")
        one.page.locator("#search").press("Enter")
        assert names(one) == ["a"]
        assert one.complaints == []


def test_a_query_shows_its_tags_metadata_and_expectations(browser: Browser, tagged: Path) -> None:
    """A query's tags are links to all queries with that tag; metadata and expectations unfold as JSON."""
    with opened(browser, tagged, "#q=b") as one:
        one.page.get_by_text("Expectations", exact=True).click()
        expect(one.page.locator(".head pre:visible")).to_contain_text('"contains"')
        one.page.get_by_text("Metadata", exact=True).click()
        expect(one.page.locator(".head pre:visible").first).to_contain_text('"owner": "shipping"')
        one.page.locator("#open").get_by_role("link", name="slow").click()
        assert names(one) == ["a", "b"]
    with opened(browser, tagged, "#q=c") as one:
        assert one.page.locator(".head details").count() == 0


@pytest.fixture(scope="module")
def with_steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a run whose queries have steps."""
    folder = tmp_path_factory.mktemp("steps")
    all_ = [closed(), still_open(), not_set_up()]
    events = [event for number, one in enumerate(all_) for event in step_events(one, 500 * number)]
    path = write_run(folder / "run", all_, events)
    write_page(folder / "steps.html", report(Run.read(str(path))))
    return folder / "steps.html"


def test_steps_are_apart_from_the_conversation(browser: Browser, with_steps: Path) -> None:
    """Each phase has a section and its own bars in the timeline. The step whose check failed is unfolded."""
    with opened(browser, with_steps, "#q=forgetful", viewport=LAPTOP) as one:
        sections = one.page.locator("#open .items > .steps")
        expect(sections.locator("h2")).to_have_text(["Before the conversation", "After the conversation", "Cleanup"])
        expect(sections.first).to_contain_text("{{number}} = 17")
        expect(sections.locator("details[open] > summary")).to_have_text(
            ['get_issue{id: 17} → {"status":"open"}', "delete_issue{id: 17} → Issue 17 is lockederror"]
        )
        expect(one.page.locator("#open .items > .part.call")).to_have_count(1)
        expect(one.page.locator("#open .facts").first).to_contain_text("1 call ")
        expect(one.page.locator("#open .waterfall .legend")).to_contain_text("steps 80 ms")
        spans = one.texts("#open .waterfall li .what")
        assert [spans[0], spans[-1]] == ["before create_issue", "✕ cleanup delete_issue"]
        assert one.texts("#open .reproduce code")[0].startswith("mcprun call shop.py get_issue ")
        assert one.complaints == []


def test_a_query_that_was_not_set_up_is_readable_on_a_phone(browser: Browser, with_steps: Path) -> None:
    """Nothing is cut off at 400 px. The failed step is unfolded, and the page says that the model was not asked."""
    with opened(browser, with_steps, "#q=no-issue", viewport={"width": 400, "height": 844}) as one:
        expect(one.page.locator("#open .steps details[open] pre.failed")).to_have_text("database is locked")
        expect(one.page.locator("#open .items > .note")).to_have_text(
            "The model was not asked, because a step before the conversation failed."
        )
        assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
