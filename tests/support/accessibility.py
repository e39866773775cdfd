"""Check pages with axe-core (https://github.com/dequelabs/axe-core), fetched from npm once per machine."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from playwright.sync_api import Page

from tests.support.npm import CACHE, node_modules

_PACKAGES = ("axe-core@~4.14.1",)

_VIOLATIONS = """async () => {
  const found = await axe.run(document, { resultTypes: ['violations'] });
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, html }) => `${id}: ${target.join(' ')}: ${html.slice(0, 120)}`));
}"""


def violations(page: Page) -> list[str]:
    """Return what axe-core reports about a page as it is shown now: the rule, the element and its markup.

    The page must have been opened with `bypass_csp=True`.
    """
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())
    return list(page.evaluate(_VIOLATIONS))


@cache
def _axe() -> str:
    folder = node_modules(CACHE.with_name("axe"), _PACKAGES)
    return Path(folder, "axe-core", "axe.min.js").read_text(encoding="utf-8")
