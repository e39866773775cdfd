"""A run whose values are nested too deeply or hold numbers that nothing can convert."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import call, failed, transcript, write_run

READABLE = 700 if sys.version_info < (3, 12) else 980
"""Levels of nesting that are read, and that recursive functions do not reach: since 3.12, C code has its own limit."""


def nested(levels: int) -> Any:
    """Make a list in a list, so many levels deep."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Write two runs that differ in queries which can be read, and not be rendered or compared."""
    for name, leaf in (("base", 1), ("head", 2)):
        deep = nested(READABLE)
        write_run(
            tmp_path / name,
            [
                transcript("plain", call("t", f"{leaf}")),
                transcript("odd", call("t", structured=[leaf, deep], input={"x": deep})),
                failed("worse", "why it failed", call("t", structured=deep, input={"x": [leaf, deep]})),
                transcript("last"),
            ],
        )
    return tmp_path
