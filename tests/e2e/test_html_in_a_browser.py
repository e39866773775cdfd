"""HTML reports in Chromium: search, filters, keys, printing, layout and escaping."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from mcprun.report.html.page import write_page
from mcprun.report.html.run_page import report
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.run import Run
from mcprun.runs.transcript import Check, Transcript, Turn, Usage, Verdict
from tests.servers.kinds import PNG
from tests.support.browser import CHROMIUM, CONTRAST, SIZES, Opened, opened
from tests.support.cli import ROOT, run_mcprun
from tests.support.runs import JsonObject, broken, call, event, failed, trace_of, transcript, write_run
from tests.support.stepped_runs import step

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]

SCREENSHOTS = ROOT / ".cache" / "screenshots"

EVIL = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)><a href='javascript:alert(3)'>x</a>"
    "<!--<svg/onload=alert(4)>{{ 7 * 7 }}\x1b[2J\x1b]0;title\x07\u202egnp.exe\u2066\u2028\x9b1m"
)
"""Injection attempts: markup, event handlers, `javascript:` links, templates, terminal escapes and bidi controls."""

LOGS = ("Traceback: KeyError\x1b[31m 'apple'\n", "Traceback: KeyError 'poison'\n")
"""What the server wrote during the failed calls of `basket` and `poison`."""

LONG = "a-very-long-id-" * 12


def image(mime: str = "image/png") -> JsonObject:
    """Return MCP image content of one pixel."""
    return {"type": "image", "data": PNG, "mimeType": mime}


def sample() -> list[Transcript]:
    """Return transcripts of every kind that a report shows."""
    price = call("price", '{"price": 0.5}', input={"item": "apple"}, structured={"price": 0.5})
    total = call("total", "Error executing tool total", input={"items": {"apple": 2}}, is_error=True)
    picture = call("draw", image(), image("image/svg+xml"), "A dot.", input={"what": "a dot"})
    thinking = {"type": "thinking", "thinking": "An apple has a price.\nI should ask for it."}
    usage = Usage(input_tokens=1200, output_tokens=80)
    plain = transcript("apple", price, text="An apple is 0.50 €.", prompt="What does an apple cost?", usage=usage)
    texts = [*plain.messages]
    texts[1] = {"role": "assistant", "content": [thinking, *texts[1]["content"]]}
    turns = [Turn(stop_reason="tool_use", usage=usage), Turn(stop_reason="end_turn", usage=usage)]
    return [
        plain.model_copy(update={"messages": texts, "turns": turns, "system": "You are a shop.\nBe brief."}),
        failed("basket", "call 0: total was expected with items {'apple': 3}", total, price, prompt="Two apples?"),
        broken("poison", "server_died", "the server exited with code 3", call("price", "0.5"), attempts=3),
        transcript("picture", picture, prompt="Draw a dot."),
        transcript("other", price.model_copy(update={"diverged": True}), prompt="Once more?", text="Like before."),
        *(transcript("dice", call("roll", str(n)), repeat=n, prompt="Roll a dice.") for n in (1, 2)),
        failed("dice", "text.contains: 'six' was expected", call("roll", "3"), repeat=3, prompt="Roll a dice."),
        transcript(LONG, call("long_" * 40, "x" * 3000, input={"text": "y" * 500}), prompt="word " * 400),
        hostile(),
    ]


def hostile() -> Transcript:
    """Return a transcript in which every text is `EVIL`."""
    calls_made = call(EVIL, EVIL, {"type": "resource_link", "uri": f"javascript:alert(5)//{EVIL}", "name": EVIL},
                input={EVIL: EVIL}, structured={EVIL: [EVIL]}, is_error=True)  # fmt: skip
    checks = [Check(check="text.contains", passed=False, message=EVIL)]
    steps = [step(phase, EVIL, EVIL, id=EVIL, input={EVIL: EVIL}, is_error=True) for phase in ("before", "cleanup")]
    return transcript(
        f"evil {EVIL}", calls_made, prompt=EVIL, text=EVIL, system=EVIL, model=EVIL, stop=EVIL, verdict=Verdict.FAILED, checks=checks,
        steps=steps, vars={EVIL: EVIL},
    )  # fmt: skip


def trace(transcripts: list[Transcript]) -> list[JsonObject]:
    """Return trace events in which the query `poison` took three attempts with a back-off before each."""
    events = trace_of(one for one in transcripts if one.id != "poison")
    events = [one | {"log_offset": len(LOGS[0])} if one.get("query") != "basket" else one for one in events]
    for attempt, begin in ((1, 5000), (2, 6200), (3, 8000)):
        where: dict[str, Any] = {"query": "poison", "attempt": attempt}
        events += [
            event("retry", begin, **where, turn=0, tried=1, error="throttled", wait=0.6),
            event("model_call", begin + 900, **where, turn=0, seconds=0.9, model="script"),
            event("tool_call", begin + 1100, **where, turn=0, seconds=0.2, call=0, tool="price", is_error=True,
                  problem="server_died", log_offset=len(LOGS[0])),
            event("attempt_end", begin + 1100, **where, seconds=1.1, waited=0.6, stop="error"),
        ]  # fmt: skip
    return [*events, event("query_end", 9100, query="poison", attempt=3, seconds=4.1, verdict="error")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the sample run, a changed copy of it, and their HTML pages."""
    folder = tmp_path_factory.mktemp("pages")
    transcripts = sample()
    verdicts = {Verdict.PASSED: 2, Verdict.FAILED: 1, Verdict.ERROR: 0, Verdict.SKIPPED: 0}
    write_run(folder / "run", transcripts, trace(transcripts), log="".join(LOGS),
              repeats=[summarize_repeats("dice", verdicts, 0.8)])  # fmt: skip
    assert run_mcprun("report", "run", "--html", "report.html", cwd=folder).code == 0
    write_run(folder / "head", changed_sample(transcripts))
    assert run_mcprun("diff", "run", "head", "--text", "--html", "diff.html", cwd=folder).code == 1
    return folder


def changed_sample(transcripts: list[Transcript]) -> list[Transcript]:
    """Return the sample with a changed result, an added call, a removed call, and an added query."""
    apple, basket, *rest = transcripts
    dearer = call(
        "price", '{"price": 0.7, "tax": [0.1]}', input={"item": "apple"}, structured={"price": 0.7, "tax": [0.1]}
    )
    more = call("stock", "one\ntwo\nthree")
    evil = rest[-1].model_copy(update={"calls": [rest[-1].calls[0].model_copy(update={"content": [image()]})]})
    return [
        apple.model_copy(update={"calls": [dearer, more], "text": "An apple is\n0.70 €."}),
        transcript("basket", *basket.calls[:1]),
        *rest[1:-1],
        evil,
        transcript("new", call("price", "1")),
    ]


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Opened]:
    """Open the report. After the test, check that the page made no other request and logged no error."""
    with opened(browser, folder / "report.html", viewport={"width": 1280, "height": 800}) as one:
        yield one
        assert one.requests == [(folder / "report.html").as_uri()]
        assert one.complaints == []


def names_in_table(page: Opened) -> list[str]:
    """Return the query names in the table."""
    return page.texts("table.rows td.name a")


def test_filters_combine_verdicts_marks_and_tools(page: Opened) -> None:
    """Verdict filters are combined with OR, other filters narrow the result, and a tool can be selected."""
    assert len(names_in_table(page)) == 7
    page.page.get_by_role("button", name="failed 3").click()
    assert names_in_table(page)[:2] == ["basket", "dice (3)"]
    page.page.get_by_role("button", name="error 1", exact=True).click()
    assert names_in_table(page)[:3] == ["poison", "basket", "dice (3)"]
    assert page.texts(".status") == ["4 runs (filtered from 10)"]
    page.page.get_by_role("button", name="flaky 3").click()
    assert names_in_table(page) == ["dice (3)"]
    assert page.page.url.endswith("#f=failed,error,flaky")
    for name in ("failed 3", "error 1", "flaky 3"):
        page.page.get_by_role("button", name=name, exact=True).click()
    page.page.get_by_label("Any tool").select_option("draw")
    assert names_in_table(page) == ["picture"]


def test_search_covers_rows_and_conversations(page: Opened) -> None:
    """A query matches if its row or conversation contains every word. A search without matches is reported."""
    page.page.keyboard.press("/")
    for words, found in (("0.50 €", ["apple"]), ("KeyError", ["poison", "basket"]), ("apple brief", ["apple"])):
        page.page.locator("#search").fill(words)
        page.page.keyboard.press("Enter")
        assert [name for name in names_in_table(page) if name in ("apple", "basket", "poison")] == found
        page.page.keyboard.press("/")
    page.page.locator("#search").fill("nowhere to be found")
    expect(page.page.locator(".status")).to_have_text("No matching runs")
    page.page.locator("#search").press("Escape")
    assert len(names_in_table(page)) == 7


def test_column_heads_sort_the_table(page: Opened) -> None:
    """A column head sorts in descending order first, and unknown values always come last."""
    page.page.get_by_role("button", name="3 passed: show").click()
    page.page.get_by_role("button", name="tokens").click()
    assert names_in_table(page)[0] == "apple"
    page.page.get_by_role("button", name="tokens").click()
    assert names_in_table(page)[0] == "apple"
    page.page.get_by_role("button", name="Time", exact=True).click()
    assert names_in_table(page)[0] == "poison"


def test_keys_open_and_leave_queries(page: Opened) -> None:
    """j and k move the selection, Enter opens a query and j the next one. Esc and the back button return to the list."""
    keyboard = page.page.keyboard
    for key in ("j", "j", "j", "k", "Enter"):
        keyboard.press(key)
    heading = page.page.locator("#open h1")
    expect(heading).to_have_text("failed basket")
    assert page.page.url.endswith("#q=basket")
    keyboard.press("k")
    expect(heading).to_have_text("error poison")
    keyboard.press("Escape")
    expect(page.page.locator("#list")).to_be_visible()
    assert page.page.evaluate("document.activeElement.textContent") == "poison"
    keyboard.press("Enter")
    expect(heading).to_have_text("error poison")
    page.page.go_back()
    expect(page.page.locator("#list")).to_be_visible()


def test_a_link_opens_its_query(browser: Browser, folder: Path) -> None:
    """A link that names a query and a repeat opens that repeat, and Esc leads to the list."""
    with opened(browser, folder / "report.html", "#q=dice%20(3)") as one:
        expect(one.page.locator("#open h1")).to_have_text("failed dice (3)")
        one.page.keyboard.press("Escape")
        expect(one.page.locator("#list")).to_be_visible()


def test_odd_names_have_links_of_their_own(browser: Browser, tmp_path: Path) -> None:
    """Each query has a distinct link, whatever its name contains and even if two names look the same."""
    names = ["__proto__", "constructor", "a&b=c#d%20e", "q (2)", "\x1b", r"\x1b", "ü ö", "../..", "\ud800"]
    run = write_run(tmp_path / "run", [transcript(name, text=f"said by {at}") for at, name in enumerate(names)])
    write_page(tmp_path / "r.html", report(Run.read(str(run))))
    with opened(browser, tmp_path / "r.html") as one:
        links = [str(link.get_attribute("href")) for link in one.page.locator("td.name a").all()]
        assert len(set(links)) == len(names)
    for at, link in enumerate(links):
        with opened(browser, tmp_path / "r.html", link) as one:
            assert one.texts("#open .part.model pre") == [f"said by {at}"]
            assert one.complaints == []


def open_query(page: Page, name: str) -> None:
    """Click on the name of a query, listed or folded, and wait until it is open."""
    link = page.get_by_role("link", name=name, exact=True)
    if not link.count():
        page.locator("button.fold").click()
    page.get_by_role("link", name=name, exact=True).last.click()
    expect(page.locator("#open")).to_contain_text(name)


def test_a_conversation_shows_roles_thinking_and_folded_calls(page: Opened) -> None:
    """A conversation names the role of each part, separates thinking, and folds each call into one line that expands."""
    open_query(page.page, "apple")
    assert page.texts(".held") == ["✓ ended"]
    assert page.texts(".who") == ["system", "user", "thinking", "call 0", "model"]
    summary = page.page.locator(".call summary")
    assert summary.inner_text().startswith('price{item: "apple"} → {"price": 0.5}')
    expect(page.page.locator(".labelled").first).to_be_hidden()
    summary.click()
    assert page.texts(".labelled pre") == ['{\n  "item": "apple"\n}', '{"price": 0.5}', '{\n  "price": 0.5\n}']
    assert page.texts(".turn")[0].startswith("turn 0 · tool_use · 1,200 tokens in, 80 out")
    assert len(page.texts("#open .waterfall li")) == 3


def test_problems_come_before_the_conversation(page: Opened) -> None:
    """Failed checks and errors precede the conversation. Calls with errors are expanded and show the server's stderr."""
    open_query(page.page, "poison")
    expect(page.page.locator(".finding.error strong")).to_have_text("server_died")
    assert [name for name in page.texts("#open .waterfall .what") if "attempt" in name] == [
        "attempt 1",
        "attempt 2",
        "attempt 3",
    ]
    assert "waiting 1.8 s" in page.texts("#open .waterfall .key")
    page.page.keyboard.press("j")
    expect(page.page.locator("#open")).to_contain_text("total was expected with items")
    above = page.page.locator("#open").inner_text()
    assert above.index("total was expected with items") < above.index("Two apples?")
    assert page.texts("details[open] .failed pre, pre.failed") == ["Error executing tool total"]
    assert page.texts("#open pre.log") == ["Traceback: KeyError\\x1b[31m 'apple'"]


def test_only_images_of_allowed_types_are_shown(page: Opened) -> None:
    """An image of an allowed type is displayed, and any other is only described."""
    open_query(page.page, "picture")
    shown = page.page.locator("img")
    assert (shown.count(), shown.evaluate("image => image.naturalWidth")) == (1, 1)
    assert page.texts(".labelled pre")[1:] == [
        "[image, image/svg+xml, 70 bytes, not shown]",
        "A dot.",
    ]


def test_diverged_calls_and_repeats_are_marked(page: Opened) -> None:
    """The table marks a flaky query with its pass count, and the conversation marks a diverged call."""
    row = page.page.locator("table.rows tr", has=page.page.get_by_role("link", name="dice", exact=True))
    assert row.locator(".mark").all_inner_texts() == ["2/3", "flaky"]
    open_query(page.page, "other")
    assert page.texts("summary .mark") == ["diverged"]


@pytest.mark.parametrize("name", ["report.html", "diff.html"])
def test_a_hostile_transcript_stays_text(browser: Browser, folder: Path, name: str) -> None:
    """Hostile text is displayed in full. It never runs, becomes an element or a link, or reorders text."""
    with opened(browser, folder / name) as one:
        kinds = "[...new Set([...document.querySelectorAll('*')].map(node => node.localName))].sort().join()"
        before = set(one.page.evaluate(kinds).split(","))
        open_query(one.page, next(text for text in names_in_table(one) if text.startswith("evil")))
        one.page.get_by_role("button", name="Expand all").click()
        text = one.page.locator("#open").inner_text()
        shown = EVIL.replace("\x1b", r"\x1b").replace("\x07", r"\x07").replace("\x9b", r"\x9b")
        for character in "\u202e\u2066\u2028":
            shown = shown.replace(character, character.encode("unicode_escape").decode())
        assert text.count(shown) >= 4
        assert not set("\x1b\x07\x9b\u202e\u2066\u2028") & set(one.page.content())
        after = set(one.page.evaluate(kinds).split(","))
        assert after - before <= {
            "details",
            "summary",
            "pre",
            "h2",
            "h3",
            "aside",
            "nav",
            "strong",
            "code",
            "ol",
            "li",
            "section",
        }
        assert one.page.locator("a:not([href^='#'])").count() == 0
        assert (one.complaints, one.requests) == ([], [(folder / name).as_uri()])


def test_the_content_security_policy_blocks_injected_elements(browser: Browser, folder: Path) -> None:
    """The policy blocks an inline script and an external image even if they are inserted into the page."""
    with opened(browser, folder / "report.html") as one:
        one.page.evaluate("""() => {
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          const image = document.createElement('img');
          image.src = 'http://127.0.0.1:9/x.png';
          document.body.append(script, image);
        }""")
        assert one.page.evaluate("window.ran") is None
        blocked = ("Executing inline script violates", "Loading the image 'http://127.0.0.1:9/x.png' violates")
        assert [any(expected.startswith(words) for expected in one.complaints) for words in blocked] == [True, True]


def test_a_comparison_shows_base_and_head_side_by_side(browser: Browser, folder: Path) -> None:
    """Differing queries are listed and can be filtered. A query shows BASE left and HEAD right, with changes marked."""
    with opened(browser, folder / "diff.html", viewport={"width": 1280, "height": 800}) as one:
        assert names_in_table(one)[:3] == ["poison", "apple", "basket"]
        one.page.get_by_role("button", name="added 1").click()
        assert names_in_table(one) == ["new"]
        one.page.get_by_role("button", name="added 1").click()
        open_query(one.page, "apple")
        assert one.texts(".pair .how") == ["changed", "added"]
        first = one.page.locator(".pair").first
        left, right = first.locator(".side").all()
        boxes = left.bounding_box(), right.bounding_box()
        assert boxes[0]
        assert boxes[1]
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
        assert left.locator(".marked").all_inner_texts() == ['-  "price": 0.5\n']
        assert right.locator(".marked").all_inner_texts()[0] == '+  "price": 0.7,\n'
        assert one.complaints == []


def many_queries(number: int) -> Iterator[Transcript]:
    """Generate `number` transcripts. Every hundredth failed, each with its own message."""
    for at in range(number):
        calls_made = [call("price", f"{at}", input={"item": f"item {at}"}), call("stock", "yes")]
        text = f"It costs {at}. " + "The words of a usual answer. " * 12
        if at % 100 == 99:
            yield failed(
                f"query-{at:05}", f"{at} was expected", *calls_made, text=text, prompt=f"What does item {at} cost?"
            )
        else:
            yield transcript(f"query-{at:05}", *calls_made, text=text, prompt=f"What does item {at} cost?")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of 10,000 queries, limited to fewer bytes than their conversations need."""
    folder = tmp_path_factory.mktemp("large")
    path = write_run(folder / "run", many_queries(10_000), trace_of(many_queries(10_000)))
    size = write_page(folder / "large.html", report(Run.read(str(path)), max_bytes=3_000_000))
    assert size < 7_000_000
    return folder / "large.html"


def test_ten_thousand_queries_are_paged(browser: Browser, large: Path) -> None:
    """A page shows 100 rows. Failed queries keep their conversations, and omitted ones are reported."""
    with opened(browser, large, viewport={"width": 1280, "height": 800}) as one:
        assert one.texts(".status") == ["100 queries"]
        assert names_in_table(one)[:2] == ["query-00099", "query-00199"]
        one.page.get_by_role("button", name="9,900 passed: show").click()
        assert one.texts(".status") == ["1 to 100 of 10,000 queries"]
        assert one.page.locator("table.rows tbody tr").count() == 100
        assert "of 10,000. Queries that did not pass are included first." in one.texts("#queries .note")[0]
        one.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert one.page.locator("table.rows tbody tr").count() == 2000
        one.page.evaluate("dispatchEvent(new Event('afterprint'))")
        one.page.get_by_role("button", name="Next").click()
        assert names_in_table(one)[0] == "query-00000"
        one.page.get_by_role("button", name="failed 100").click()
        assert one.texts(".status") == ["100 queries (filtered from 10,000)"]
        one.page.locator("#search").fill("9999 was expected")
        one.page.locator("#search").press("Enter")
        assert names_in_table(one) == ["query-09999"]
        one.page.keyboard.press("Enter")
        expect(one.page.locator("#open .part")).to_have_count(4)
        one.page.goto(f"{large.as_uri()}#q=query-09998")
        assert "This conversation was omitted" in one.page.locator("#open").inner_text()
        assert one.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "fragment"), PAGES := [
    ("report", ""), ("report", "#q=apple"), ("report", "#q=basket"), ("report", "#q=poison"), ("report", "#q=picture"),
    ("report", f"#q={LONG}"), ("diff", ""), ("diff", "#q=apple"), ("diff", "#q=basket"),
])  # fmt: skip
def test_pages_fit_every_size_and_scheme(browser: Browser, folder: Path, name: str, fragment: str, scheme: Any) -> None:
    """No page scrolls sideways, and all text has enough contrast. Screenshots are saved for inspection."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width, height in SIZES:
        size: Any = {"width": width, "height": height}
        with opened(browser, folder / f"{name}.html", fragment, viewport=size, color_scheme=scheme) as one:
            assert one.page.evaluate("document.documentElement.scrollWidth") <= width
            assert one.page.evaluate(CONTRAST) == []
            shown = f"{name}-{fragment[3:12] or 'list'}-{width}x{height}-{scheme}.png"
            one.page.screenshot(path=SCREENSHOTS / shown, full_page=True)


def test_a_button_changes_the_color_scheme(page: Opened) -> None:
    """The button switches from light to dark and back."""
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.page.evaluate(ground)
    page.page.get_by_role("button", name="Dark").click()
    assert page.page.evaluate(ground) != light
    page.page.get_by_role("button", name="Light").click()
    assert page.page.evaluate(ground) == light


def test_a_printed_conversation_is_unfolded(page: Opened) -> None:
    """In print, a conversation is expanded and has no buttons."""
    open_query(page.page, "apple")
    page.page.emulate_media(media="print")
    page.page.pdf(path=SCREENSHOTS / "report-apple.pdf")
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.page.locator(".bar:visible")).to_have_count(0)
    expect(page.page.locator(".labelled").first).to_be_visible()
    page.page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.page.locator(".labelled").first).to_be_hidden()


def test_the_overview_needs_no_javascript(browser: Browser, folder: Path) -> None:
    """Without JavaScript, the page shows the totals and a note that the queries need it."""
    with opened(browser, folder / "report.html", java_script_enabled=False) as one:
        text = one.page.locator("body").inner_text()
        assert "3 failed" in text
        assert "Enable JavaScript to see the queries" in text
        expect(one.page.locator("#queries")).to_be_hidden()
