"""Fixtures for the slow end-to-end tests: browsers, npm, tmux, Ray, hundreds of kills, third-party servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import browsing
from tests.support.http_transports import each_transport
from tests.support.processes import adopt_orphans, mcprun, no_process_is_left

__all__ = ["each_transport", "mcprun", "no_process_is_left"]

adopt_orphans()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser for a module. Each test opens its own context."""
    with browsing() as one:
        yield one
