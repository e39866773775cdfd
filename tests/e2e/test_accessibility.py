"""Pages of every kind of run, for people who use a keyboard, a screen reader, a phone or a dark theme."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.accessibility import violations
from tests.support.browser import CHROMIUM, CONTRAST, opened
from tests.support.npm import missing
from tests.support.red_runs import FAMILY, KINDS, Made, make

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.skipif(bool(missing()), reason="node and npm are not installed"),
]

OPEN = {
    "causes": ("refund-0", "export", "endless", "order-0"), "renamed": ("order-0", "stores-0"), "dead": ("order-0",),
    "flaky": ("flaky-half",), "turns": ("inventory",), "large": ("query-00003", "query-00001"),
    "stopped": ("order-0", "refund-3"), "diff": ("order-1", "order-0", "new"), "green": ("order-0",),
    "steps": ("closed", "open", "untitled"), "routed": ("several", "ungraded"),
}  # fmt: skip
"""Queries of each kind of run whose conversations are opened: red ones, green ones and ones that were not run."""

SCHEMES = ("light", "dark")
PHONE = {"width": 400, "height": 800}
DESKTOP = {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Make a run of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    return {kind: make(kind, folder, **({"queries": 300} if kind == "large" else {})) for kind in KINDS}


def views(page: Page, kind: str) -> Iterator[str]:
    """Show the list, the list with filters, the dialog of keys, and opened queries; yield the name of each."""
    yield "list"
    for group in page.locator("#queries .chip").all():
        group.click()
    yield "filtered"
    page.keyboard.press("?")
    yield "keys"
    page.keyboard.press("Escape")
    for name in OPEN[kind]:
        page.evaluate("name => { location.hash = `#q=${name}`; }", name)
        expect(page.locator("#open h1")).to_contain_text(name)
        yield name
        unfold(page)
        yield f"{name}, unfolded"


def unfold(page: Page) -> None:
    """Open everything that can be folded."""
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_axe_reports_nothing(browser: Browser, pages: dict[str, Made], kind: str, scheme: Any) -> None:
    """No page violates a rule of axe-core, whatever is open, on a large screen and on a phone."""
    for size in (DESKTOP, PHONE):
        options: dict[str, Any] = {"viewport": size, "color_scheme": scheme, "bypass_csp": True}
        with opened(browser, pages[kind].page, **options) as one:
            unfold(one.page)
            found = {name: wrong for name in views(one.page, kind) if (wrong := violations(one.page))}
            assert (size["width"], found) == (size["width"], {})


CUT_OFF = """() => {
  const width = document.documentElement.clientWidth;
  const inScroller = (node) => node.parentElement.closest('[data-scrolls]');
  const cut = [];
  for (const node of document.querySelectorAll('main *:not(svg *), dialog[open] *')) {
    const { left, right, width: own } = node.getBoundingClientRect();
    if (!own || !node.checkVisibility() || inScroller(node)) continue;
    const { overflowX } = getComputedStyle(node);
    const hides = (overflowX === 'hidden' || overflowX === 'clip') && node.scrollWidth > node.clientWidth + 1;
    if (left < -1 || right > width + 1 || hides) cut.push(`${node.tagName}.${node.className}: ${node.textContent.slice(0, 50)}`);
  }
  return cut;
}"""
"""JavaScript that returns the elements that extend beyond the screen, or that hide a part of their content."""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_off_on_a_phone(browser: Browser, pages: dict[str, Made], kind: str, scheme: Any) -> None:
    """At 400 px, everything is on the screen or in a region that scrolls, with enough contrast."""
    with opened(browser, pages[kind].page, viewport=PHONE, color_scheme=scheme) as one:
        unfold(one.page)
        for name in views(one.page, kind):
            assert one.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
            assert (name, one.page.evaluate(CUT_OFF)) == (name, [])
            assert (name, one.page.evaluate(CONTRAST)) == (name, [])
        assert one.complaints == []


REACHED = """() => {
  const shown = [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"], [onclick]')]
    .filter((node) => node.checkVisibility() && !node.disabled);
  return shown.filter((node) => !node.dataset.reached)
    .map((node) => `${node.tagName}.${node.className}: ${node.textContent.slice(0, 40)}`);
}"""
"""JavaScript that returns the controls and scrollable regions that never had the focus."""


def tab_to_the_end(page: Page) -> None:
    """Press Tab until the focus leaves the page."""
    for _ in range(page.evaluate("document.querySelectorAll('*').length")):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            return


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "large"])
def test_the_keyboard_reaches_everything(browser: Browser, pages: dict[str, Made], kind: str) -> None:
    """Tab reaches every control and every region that scrolls, in the list and in a query, and shows where it is."""
    with opened(browser, pages[kind].page, viewport=DESKTOP) as one:
        for fragment in ("", f"#q={OPEN[kind][0]}"):
            one.page.evaluate("fragment => { location.hash = fragment; }", fragment)
            unfold(one.page)
            one.page.evaluate("""() => {
              window.unmarked = [];
              document.addEventListener('focusin', ({ target }) => {
                target.dataset.reached = '1';
                if (target.matches(':focus-visible') && getComputedStyle(target).outlineStyle === 'none') {
                  window.unmarked.push(target.outerHTML.slice(0, 100));
                }
              });
              document.activeElement.blur();
            }""")
            for _ in range(2):  # an opened query has the focus: the first round starts there
                tab_to_the_end(one.page)
            assert one.page.evaluate(REACHED) == []
            assert one.page.evaluate("window.unmarked") == []


def test_a_region_is_focusable_only_while_it_scrolls(browser: Browser, pages: dict[str, Made]) -> None:
    """On a wide screen a short log takes no tab stop. On a phone it does, and the arrow keys scroll it."""
    with opened(browser, pages["causes"].page, "#q=export", viewport=PHONE) as one:
        regions = one.page.locator("[data-scrolls]:visible")
        expect(regions.first).to_have_attribute("tabindex", "0")
        regions.first.focus()
        one.page.keyboard.press("ArrowRight")
        assert one.page.url.endswith("#q=export")
        one.page.set_viewport_size({"width": 4000, "height": 4000})
        expect(regions).to_have_count(0)
        expect(one.page.locator("pre[tabindex]:visible")).to_have_count(0)


def test_joined_emoji_are_shown(browser: Browser, pages: dict[str, Made]) -> None:
    """An emoji that consists of several is shown as one."""
    with opened(browser, pages["causes"].page, "#q=order-0") as one:
        assert f"Shipped. {FAMILY}" in one.page.locator("#open").inner_text()


@pytest.mark.parametrize("kind", ["causes", "dead", "green"])
def test_tiles_have_a_value(browser: Browser, pages: dict[str, Made], kind: str) -> None:
    """A figure that a run does not have, such as its tokens with a script, has no tile."""
    with opened(browser, pages[kind].page) as one:
        values = one.texts(".tiles dd.number")
        assert values
        assert not {"none", "?", ""} & set(values)
