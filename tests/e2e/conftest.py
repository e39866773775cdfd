"""Tests of the slow world: browsers, npm, tmux, Ray, kills by the hundred, servers of others."""

from tests.support.processes import adopt_orphans, mcprun, no_process_is_left

__all__ = ["mcprun", "no_process_is_left"]

adopt_orphans()
