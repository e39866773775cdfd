"""Paths of the servers that offer prompts and resources."""

from __future__ import annotations

from tests.support.cli import SERVERS

LIBRARY, ODD = SERVERS / "library.py", SERVERS / "odd_library.py"
