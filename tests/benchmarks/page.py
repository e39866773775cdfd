"""Opening the page of a large run in Chromium, compared with the same file without its script: only parsing it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser

from mcprun.report.html.page import write_page
from mcprun.report.html.run_page import report
from mcprun.runs.run import Run
from tests.benchmarks.ratios import Figure, compare
from tests.support.browser import CHROMIUM, browsing
from tests.support.large_runs import write_large_run

ALLOWED = {2_000: 3.0, 10_000: 2.0}
"""The highest ratio by the number of queries. The table shows 100 rows either way, so a small page has the higher one."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure pages of 2,000 and 10,000 queries, or nothing if no Chromium is installed."""
    if CHROMIUM is None:
        return
    with browsing() as browser:
        for queries, allowed in ALLOWED.items():
            page, floor = write_pages(folder, queries)
            yield compare(
                f"page: opening {queries:,} queries",
                lambda page=page: opening_seconds(browser, page),  # type: ignore[misc]
                lambda floor=floor: opening_seconds(browser, floor),  # type: ignore[misc]
                allowed=allowed,
                rounds=rounds,
                unit="s of the page's main thread",
            )


def write_pages(folder: Path, queries: int) -> tuple[Path, Path]:
    """Write the page of a run of this many queries, and a copy without its script."""
    page, floor = folder / f"{queries}.html", folder / f"{queries}-floor.html"
    write_page(page, report(Run.read(str(write_large_run(folder / str(queries), queries)))))
    text = page.read_text(encoding="utf-8")
    floor.write_text(text[: text.rindex("<script>")] + "</body>\n</html>\n", encoding="utf-8")
    return page, floor


def opening_seconds(browser: Browser, file: Path) -> float:
    """Open a file in a new context, and return the processor time of its main thread in seconds."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(file.as_uri())
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])
    finally:
        context.close()
