"""Write runs with deeply nested values, for tests that a query that cannot be rendered does not affect the others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import call, failed, transcript, write_run

READABLE = 700 if sys.version_info < (3, 12) else 980
"""Levels of nesting that the JSON parser reads, but that exceed the limit of recursive Python functions.

Since Python 3.12, the recursion limit does not apply to C code.
"""


def nested(levels: int) -> Any:
    """Return a list nested this many levels deep."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Write two runs, `base` and `head`, that differ in queries that can be read but not rendered or compared."""
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
