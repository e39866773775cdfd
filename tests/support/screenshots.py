"""Take the screenshots in docs/images: `python -m tests.support.screenshots [FOLDER]` runs the example and opens its pages.

It needs Chromium. The example is `prompts/regression`: a recording of `shop.py`, replayed against changed servers. With
`--runs`, it takes pictures to look at instead: of `red_runs`, on screens of three widths, in light and in dark.
"""

from __future__ import annotations

import argparse
import base64
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.support.browser import browsing, opened
from tests.support.cli import PROMPTS, ROOT, clean_environment, commands
from tests.support.red_runs import make

IMAGES = ROOT / "docs" / "images"

WIDTH = 1200
"""Width of an image in pixels: 1,091 CSS pixels, enlarged so that text is readable in a narrower column."""

_SCALE = 1.1


def take_screenshots(folder: Path) -> list[Path]:
    """Write report.webp and diff.webp to `folder`, and return their paths."""
    with tempfile.TemporaryDirectory() as scratch, browsing() as browser:
        files = []
        for page, fragment in _pages(Path(scratch)):
            viewport = {"width": round(WIDTH / _SCALE), "height": 400}
            with opened(browser, page, fragment, viewport=viewport) as one:
                files.append(folder / f"{page.stem}.webp")
                files[-1].write_bytes(_webp(one.page))
        return files


LOOKED_AT = {
    "causes": ("", "#q=refund-0", "#q=export"), "renamed": ("", "#q=order-0"), "dead": ("", "#q=order-0"),
    "flaky": ("", "#q=flaky-half"), "turns": ("", "#q=inventory"), "large": ("", "#q=query-00003"),
}  # fmt: skip
"""Kinds of `red_runs`, and what of their pages is opened: the list, and queries."""

SCREENS = ((1440, 900), (1024, 768), (400, 800))
"""Screens in CSS pixels."""


def take_runs(folder: Path) -> list[Path]:
    """Write `KIND-QUERY-WIDTH-SCHEME.png`, of the first screen, for each kind, query, width and scheme; return the paths."""
    files = []
    with tempfile.TemporaryDirectory() as scratch, browsing() as browser:
        for kind, fragments in LOOKED_AT.items():
            file = make(kind, Path(scratch)).page
            for fragment, (width, height), scheme in product(fragments, SCREENS, ("light", "dark")):
                options: dict[str, Any] = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
                with opened(browser, file, fragment, **options) as one:
                    files.append(folder / f"{kind}-{fragment[3:] or 'list'}-{width}-{scheme}.png")
                    one.page.screenshot(path=files[-1])
    return files


def _pages(folder: Path) -> Iterator[tuple[Path, str]]:
    """Run the example in `folder`. Yield the pages of a report and of a comparison, each with a fragment of its URL."""
    (folder / "prompts").symlink_to(PROMPTS)
    prompts, servers = "prompts/regression/regression.jsonl", "prompts/regression"
    replay = ("--model", "replay:baseline", "--baseline", "baseline")
    _mcprun(folder, "batch", prompts, f"{servers}/shop.py", "--out", "good")
    _mcprun(folder, "bless", "good", "baseline")
    _mcprun(folder, "batch", prompts, f"{servers}/shop_renamed.py", *replay, "--html", "report.html")
    yield folder / "report.html", ""
    _mcprun(folder, "batch", prompts, f"{servers}/shop_free_shipping.py", *replay, "--out", "head")
    _mcprun(folder, "diff", "baseline", "head", "--html", "diff.html")
    yield folder / "diff.html", "#q=small-basket"


def _mcprun(folder: Path, *arguments: str) -> None:
    """Run a command in `folder`. Exit code 1 is expected: the servers have changed."""
    command = [str(Path(commands(), "mcprun")), *arguments]
    done = subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise SystemExit(done.stderr)


def _webp(page: Page) -> bytes:
    """Return an image of the whole page, scrolled to its top. Playwright itself writes only PNG and JPEG."""
    height = page.evaluate("() => { scrollTo(0, 0); return document.documentElement.scrollHeight; }")
    page.set_viewport_size({"width": round(WIDTH / _SCALE), "height": height})
    clip = {"x": 0, "y": 0, "width": round(WIDTH / _SCALE), "height": height, "scale": _SCALE}
    session = page.context.new_cdp_session(page)
    image = session.send("Page.captureScreenshot", {"format": "webp", "quality": 90, "clip": clip})
    return base64.b64decode(image["data"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Take screenshots of reports.")
    parser.add_argument("folder", nargs="?", type=Path, default=IMAGES)
    parser.add_argument("--runs", action="store_true", help="of every kind of red run")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for file in (take_runs if asked.runs else take_screenshots)(asked.folder):
        print(f"{file}: {file.stat().st_size:,} bytes")
