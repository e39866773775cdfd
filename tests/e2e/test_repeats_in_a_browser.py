"""The repeated queries of a run's page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from mcprun.report.html.page import write_page
from mcprun.report.html.run_page import report
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.run import Run
from mcprun.runs.run_record import PromptsRecord
from mcprun.runs.transcript import Verdict
from tests.support.browser import CHROMIUM, opened
from tests.support.runs import failed, transcript, write_run

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")

HALF = "it's [1] & half"
RUNS = {HALF: "✗✓✗✓✗✗", "always": "✓✓✓✓✓✓", "long": "✓" * 120}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a run with repeated queries, one below its rate."""
    folder = tmp_path_factory.mktemp("run")
    transcripts, repeats = [], []
    for name, marks in RUNS.items():
        transcripts += [
            transcript(name, repeat=number) if mark == "✓" else failed(name, "no", repeat=number)
            for number, mark in enumerate(marks, 1)
        ]
        verdicts = dict.fromkeys(Verdict, 0) | {
            Verdict.PASSED: marks.count("✓"),
            Verdict.FAILED: marks.count("✗"),
        }
        repeats.append(summarize_repeats(name, verdicts, 0.7))
    prompts = PromptsRecord(file="p.jsonl", sha256="", queries=len(RUNS), runs=len(transcripts))
    write_run(folder / "r", transcripts, repeats=repeats, prompts=prompts)
    write_page(folder / "page.html", report(Run.read(str(folder / "r"))))
    return folder / "page.html"


def test_each_run_is_a_mark_that_opens_it(browser: Browser, page_file: Path) -> None:
    """The marks are in order, named for screen readers, and reached by the keyboard."""
    with opened(browser, page_file) as one:
        row = one.page.locator(".repeats tbody tr").first
        assert row.locator("th").inner_text() == HALF
        assert row.locator(".dots").inner_text() == RUNS[HALF]
        row.get_by_role("link", name="run 3: failed", exact=True).focus()
        one.page.keyboard.press("Enter")
        one.page.get_by_role("heading", name=f"{HALF} (3)").wait_for()
        one.page.go_back()
        row.get_by_role("link", name="run 1: failed", exact=True).click()
        one.page.locator("#open h1").wait_for()
        assert one.page.locator("#open h1").inner_text().endswith(HALF)
        assert one.complaints == []


def test_a_query_below_its_rate_is_red_and_stands_above_the_list(browser: Browser, page_file: Path) -> None:
    """Its interval and its rate have the colour of a failure, and those of the others have not."""
    colour = "(node) => getComputedStyle(node).color"
    with opened(browser, page_file, viewport={"width": 1440, "height": 900}) as one:
        rates = one.page.locator(".repeats .rate")
        assert rates.all_inner_texts() == ["33 %", "100 %", "100 %"]
        red = one.page.locator(".outcome").evaluate(colour)
        assert [rates.nth(at).evaluate(colour) == red for at in range(3)] == [True, False, False]
        assert one.texts("#repeats-title") == ["1 of 3 repeated queries below its rate"]
        assert one.texts(".interval")[0].strip() == "10 % to 70 %, needs 70 %"
        box = one.page.locator(".repeats").bounding_box()
        table = one.page.locator("#queries").bounding_box()
        assert box
        assert table
        assert box["y"] < table["y"]
        assert box["width"] > 1200


def test_tile_chip_and_list_count_the_same_runs(browser: Browser, page_file: Path) -> None:
    """The legend, the chip and the list agree, and the tile says that it counts queries."""
    with opened(browser, page_file) as one:
        assert one.texts(".legend span")[:1] == ["132 runs of 3 queries:"]
        assert "4 failed" in one.texts(".legend span")
        tiles = dict(zip(one.texts(".tiles dt"), one.texts(".tiles dd:last-child"), strict=True))
        assert tiles["Queries passed"] == "2 of 3 queries; 128 of 132 runs"
        chip = one.page.get_by_role("button", name="failed 4", exact=True)
        chip.click()
        assert one.texts(".status")[0].startswith("4 runs")


def test_many_runs_are_counted_rather_than_drawn(browser: Browser, page_file: Path) -> None:
    """A hundred marks are shown."""
    with opened(browser, page_file) as one:
        assert one.page.locator(".repeats tbody tr").last.locator(".dots a").count() == 100
        assert one.texts(".repeats .dots .note") == ["and 20 more runs"]


@pytest.mark.parametrize("width", [400, 1024])
def test_nothing_is_cut_off_on_a_narrow_screen(browser: Browser, page_file: Path, width: int) -> None:
    """The page does not scroll sideways, nor does the table on a phone."""
    with opened(browser, page_file, viewport={"width": width, "height": 900}) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if width == 400:
            assert one.page.locator(".repeats .scroll").evaluate("(node) => node.scrollWidth <= node.clientWidth")
