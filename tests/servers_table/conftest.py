"""Fixtures for the tests of this program."""

from tests.support.processes import adopt_orphans, mcprun, no_process_is_left

__all__ = ["mcprun", "no_process_is_left"]

adopt_orphans()
