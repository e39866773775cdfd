"""Fixtures for tests with real processes and loopback sockets."""

import os

from tests.support.processes import adopt_orphans, mcprun, no_process_is_left

__all__ = ["mcprun", "no_process_is_left"]

adopt_orphans()


def pytest_xdist_auto_num_workers() -> int:
    """Use two workers per core: most of these tests wait for a process or a deadline."""
    return 2 * (os.cpu_count() or 1)
