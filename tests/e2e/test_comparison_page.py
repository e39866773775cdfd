"""The page of a comparison in Chromium: shared changes, filters, folded lines, marks within lines, and colours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import CHROMIUM, Opened, opened
from tests.support.changed_orders import CALLS, TRACKED, write_changed_orders
from tests.support.cli import run_mcprun

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]

GREEN = """(node) => {
  const probe = Object.assign(document.createElement('span'), { className: 'passed' });
  node.append(probe);
  const green = getComputedStyle(probe).color;
  probe.remove();
  return getComputedStyle(node).color === green;
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page that compares two runs of the shop."""
    folder = tmp_path_factory.mktemp("comparison")
    base, head = write_changed_orders(folder)
    assert run_mcprun("diff", base.name, head.name, "--html", "diff.html", cwd=folder).code == 1
    return folder / "diff.html"


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Opened]:
    """Open the page. After the test, check that it logged no error."""
    with opened(browser, file, viewport={"width": 1440, "height": 900}) as one:
        yield one
        assert one.complaints == []


def rows(page: Opened) -> list[str]:
    """Return the names of the queries in the table."""
    return page.texts("table.rows td.name")


def test_shared_changes_come_first_and_filter_the_table(page: Opened) -> None:
    """The page begins with the changes that several queries share. Each filters the table, also after a reload."""
    changes = page.page.locator("#changes li")
    expect(changes).to_have_count(3)
    assert [text.split("\n")[0] for text in changes.all_inner_texts()] == [
        "passed → failed",
        "price → error: Unknown tool: price",
        "get_order → state: shipped → in_transit",
    ]
    assert f"{TRACKED} queries, {CALLS} calls" in changes.nth(2).inner_text()
    box = changes.nth(0).bounding_box()
    assert box
    assert box["y"] < 900
    changes.nth(2).get_by_role("button").click()
    expected = [f"track-{number}" for number in range(TRACKED)]
    assert rows(page) == expected
    page.page.reload()
    assert rows(page) == expected
    page.page.get_by_label("All changes").select_option(index=1)
    assert rows(page) == ["apple", "pear", "plum"]


def test_a_shared_change_is_reached_by_keyboard(page: Opened) -> None:
    """A change can be chosen with the keyboard, and the focus then is in the table."""
    page.page.locator("#changes button").nth(2).focus()
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("document.activeElement.textContent") == "track-0"
    page.page.keyboard.press("j")
    assert page.page.evaluate("document.activeElement.textContent") == "track-1"


def test_tile_chip_and_list_agree(page: Opened) -> None:
    """The tile of regressions, its chip and the rows that the chip selects have the same number."""
    tile = page.page.locator(".tiles > div", has_text="Regressions").locator(".number").inner_text()
    chip = page.page.get_by_role("button", name=re.compile("^regressions"))
    assert chip.inner_text() == f"regressions {tile}"
    chip.click()
    assert len(rows(page)) == int(tile)


def test_queries_that_no_longer_pass_come_first(page: Opened) -> None:
    """The table begins with the queries whose verdict became worse, then those that are gone."""
    assert rows(page)[:4] == ["apple", "pear", "plum", "gone"]
    assert page.texts("td.asked")[4] == "get_order → state: shipped → in_transit (6 calls)"


def test_a_query_shows_its_prompt(page: Opened) -> None:
    """A query begins with what was asked."""
    page.page.goto(f"{page.page.url.split('#')[0]}#q=terms")
    assert page.texts(".asked-for pre") == ["Read me the terms of delivery."]


def test_unchanged_lines_are_folded_on_both_sides(page: Opened) -> None:
    """Three lines around a difference are shown. The others are folded, and unfold on both sides at once."""
    page.page.goto(f"{page.page.url.split('#')[0]}#q=terms")
    left, right = page.page.locator(".pair.changed .side").all()
    assert left.locator(".fold > summary").all_inner_texts() == ["17 unchanged lines", "16 unchanged lines"]
    assert left.locator(".line:visible").count() == right.locator(".line:visible").count() == 7
    left.locator("summary").first.click()
    expect(right.locator(".line:visible")).to_have_count(24)
    right.locator("summary").first.focus()
    page.page.keyboard.press("Enter")
    expect(left.locator(".line:visible")).to_have_count(7)
    page.page.keyboard.press("e")
    expect(right.locator(".line:visible")).to_have_count(40)


def test_the_words_that_differ_are_marked(page: Opened) -> None:
    """In a changed line, only the words that differ are marked."""
    page.page.goto(f"{page.page.url.split('#')[0]}#q=track-3")
    assert page.page.locator(".pair.changed").count() == 6
    assert page.page.locator(".pair").first.locator(".word-mark").all_inner_texts() == ["shipped", "in_transit"]


@pytest.mark.parametrize("name", ["apple", "new"])
def test_an_error_is_never_green(page: Opened, name: str) -> None:
    """Neither the lines of a new error nor the mark of its call are green."""
    page.page.goto(f"{page.page.url.split('#')[0]}#q={name}")
    for selector in (".fails .line.after", ".pair .mark", ".head .mark"):
        for one in page.page.locator(selector).all():
            assert one.evaluate(GREEN) is False, selector
    assert page.page.locator(".fails .line.after").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1024, 1440])
@pytest.mark.parametrize("fragment", ["", "#q=terms", "#q=apple"])
def test_nothing_is_cut_off(browser: Browser, file: Path, width: int, scheme: str, fragment: str) -> None:
    """No view scrolls sideways at any width."""
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with opened(browser, file, fragment, **options) as one:
        assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert one.complaints == []
