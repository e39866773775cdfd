"""The machine that something was measured on."""

from __future__ import annotations

import os
import platform
import subprocess


def describe_machine() -> str:
    """Return the number of cores, the system, and the versions of Node and Python, as words for a table."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    python = platform.python_version().rpartition(".")[0]
    return f"{os.cpu_count()} cores with {platform.system()}, Node {node[1:].split('.')[0]} and Python {python}"
