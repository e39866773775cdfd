"""A prompts file with ids that are also glob patterns, for tests of `--filter`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import script, write_jsonl

IDS = ("a1", "a[1]", "b*", "b-x", "c?", "cd", "d[!x]", "dy", "e,f", "e", "[", "tagged", "tagged-too", "[[]z]")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Write a query for each id in `IDS`. Two of them have tags with brackets."""
    queries = [script(id=name, tags=[f"t[{name}]"] if name.startswith("tagged") else []) for name in IDS]
    return write_jsonl(tmp_path / "p.jsonl", *queries)
