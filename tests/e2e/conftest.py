"""Fixtures for the slow end-to-end tests: browsers, npm, tmux, Ray, hundreds of kills, third-party servers."""

from tests.support.processes import adopt_orphans, mcprun, no_process_is_left

__all__ = ["mcprun", "no_process_is_left"]

adopt_orphans()
