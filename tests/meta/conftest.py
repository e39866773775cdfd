"""Fixtures for the tests of the project's documents, workflow and imports."""

from tests.support.processes import adopt_orphans, mcprun, no_process_is_left

__all__ = ["mcprun", "no_process_is_left"]

adopt_orphans()
