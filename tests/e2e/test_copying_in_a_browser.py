"""The buttons that copy commands and texts of a red query."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from mcprun.report.data import gather
from mcprun.report.html.page import write_page
from mcprun.report.html.run_page import report
from mcprun.runs.run import Run
from tests.support.browser import CHROMIUM, opened
from tests.support.runs import call, failed, transcript, write_run

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")

ODD = '-it\'s [1] "two" $HOME `x` é'
LABELS = {
    "batch": "Copy the command that runs this query again",
    "show": "Copy the command that shows this query",
    "text": "Copy for a coding assistant",
}

NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """Write a run with queries that failed and one that passed, and its page without room for the last ones."""
    folder = tmp_path_factory.mktemp("run")
    failing = failed(ODD, "expected 5, got 6", call("add", "6"))
    arguments = {
        "prompts": "p.jsonl",
        "server": "python -m shop",
        "env": ["KEY=[redacted]"],
        "system": "Be brief. " * 30,
    }
    queries = [failed("plain", "no", call("add", "<b>6</b>")), failing, transcript("fine")]
    write_run(folder / "r", queries, arguments=arguments)
    run = Run.read(str(folder / "r"))
    write_page(folder / "page.html", report(run))
    return folder / "page.html", run


def copied(page: Page, label: str) -> str:
    """Press the button with a label, and return what is on the clipboard."""
    button = page.get_by_role("button", name=label, exact=True)
    button.click()
    button.locator("xpath=..").get_by_role("status").filter(has_text="Copied").wait_for()
    return str(page.evaluate("navigator.clipboard.readText()"))


@pytest.mark.parametrize("name", ["plain", ODD])
def test_each_button_copies_what_the_module_prints(browser: Browser, made: tuple[Path, Run], name: str) -> None:
    """The commands are those of the other reports, and the text holds the cause, the conversation and both commands."""
    file, run = made
    commands = gather(run).commands
    with opened(browser, file, permissions=["clipboard-read", "clipboard-write"]) as one:
        one.page.get_by_role("link", name=name, exact=True).first.click()
        assert copied(one.page, LABELS["batch"]) == commands.batch(name)
        assert copied(one.page, LABELS["show"]) == commands.show(name)
        text = copied(one.page, LABELS["text"])
        assert all(part in text for part in ("## Cause", commands.batch(name), commands.show(name), "call 0   add{}"))
        assert one.complaints == []


def test_without_a_clipboard_the_text_is_selected(browser: Browser, made: tuple[Path, Run]) -> None:
    """If the browser offers no clipboard, the folded text opens and is selected, and the button says what to press."""
    with opened(browser, made[0]) as one:
        one.page.add_init_script(NO_CLIPBOARD + "; document.execCommand = () => false")
        one.page.reload()
        one.page.get_by_role("link", name="plain", exact=True).first.click()
        one.page.get_by_role("button", name=LABELS["text"], exact=True).click()
        one.page.get_by_role("status").filter(has_text="Selected: press Ctrl+C").wait_for()
        selected = one.page.evaluate("getSelection().toString()")
        assert selected.startswith("# mcprun: `plain` failed")
        assert "<b>6</b>" in selected


def test_the_buttons_are_reached_and_pressed_by_the_keyboard(browser: Browser, made: tuple[Path, Run]) -> None:
    """Tab goes from the heading to each button, and Enter presses it."""
    with opened(browser, made[0], permissions=["clipboard-read", "clipboard-write"]) as one:
        one.page.get_by_role("link", name="plain", exact=True).first.click()
        seen = []
        for _ in range(12):
            one.page.keyboard.press("Tab")
            seen.append(one.page.evaluate("document.activeElement.getAttribute('aria-label')"))
        assert [label for label in dict.fromkeys(seen) if label in LABELS.values()] == list(LABELS.values())
        one.page.get_by_role("button", name=LABELS["show"], exact=True).focus()
        one.page.keyboard.press("Enter")
        one.page.get_by_role("status").filter(has_text="Copied").wait_for()
        assert one.page.evaluate("navigator.clipboard.readText()") == gather(made[1]).commands.show("plain")


def test_a_query_that_passed_has_nothing_to_reproduce(browser: Browser, made: tuple[Path, Run]) -> None:
    """Only red queries have the section."""
    with opened(browser, made[0], "#q=fine") as one:
        one.page.get_by_role("heading", name="fine").wait_for()
        assert one.page.locator(".reproduce").count() == 0


def test_a_conversation_that_is_left_out_names_a_command_that_works(
    browser: Browser, made: tuple[Path, Run], tmp_path: Path
) -> None:
    """Its id is quoted as by the module."""
    write_page(tmp_path / "page.html", report(made[1], 0))
    with opened(browser, tmp_path / "page.html") as one:
        one.page.get_by_role("link", name=ODD, exact=True).first.click()
        assert gather(made[1]).commands.show(ODD) in one.texts("p.note code")


@pytest.mark.parametrize("width", [400, 1024, 1440])
def test_long_commands_stay_within_the_page(browser: Browser, made: tuple[Path, Run], width: int) -> None:
    """Nothing is cut off, and the page does not scroll sideways."""
    with opened(browser, made[0], "#q=plain", viewport={"width": width, "height": 900}) as one:
        one.page.locator(".reproduce").wait_for()
        assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        boxes = [box.bounding_box() for box in one.page.locator(".reproduce button").all()]
        assert all(box and box["x"] + box["width"] <= width for box in boxes)
