"""Paths of the servers with prompts and resources: `LIBRARY` is well-formed, `ODD` is not."""

from __future__ import annotations

from tests.support.cli import SERVERS

LIBRARY, ODD = SERVERS / "library.py", SERVERS / "odd_library.py"
