"""The screenshots in docs/images, and the program that takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, browsing
from tests.support.screenshots import IMAGES, WIDTH, take_screenshots

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


def test_the_screenshots_can_be_taken_again(tmp_path: Path) -> None:
    """The program takes each screenshot in docs/images. All are as wide as stated, and smaller than 150 kB."""
    taken = take_screenshots(tmp_path)
    assert sorted(file.name for file in taken) == sorted(file.name for file in IMAGES.iterdir())
    with browsing() as browser:
        page = browser.new_page()
        for file in (*taken, *IMAGES.iterdir()):
            page.goto(file.as_uri())
            assert page.evaluate("document.images[0].naturalWidth") == WIDTH
            assert file.stat().st_size < 150_000
