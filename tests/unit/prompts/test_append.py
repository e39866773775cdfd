"""Queries appended to a prompts file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcprun.errors import UsageError
from mcprun.prompts.append import PromptsAppender
from mcprun.prompts.file import read_prompts


@pytest.mark.parametrize("before", [None, "", '{"id": "a", "prompt": "x"}\n', '{"id": "a", "prompt": "x"}'])
def test_a_query_is_appended_on_a_line_of_its_own(tmp_path: Path, before: str | None) -> None:
    """The file may be missing, empty, or lack its last line break; its other queries stay."""
    path = tmp_path / "p.jsonl"
    if before is not None:
        path.write_text(before, encoding="utf-8")
    appender = PromptsAppender.open(path)
    names = ["a"] if before else []
    assert sorted(appender.ids) == names
    appender.append({"id": appender.free_id("a"), "prompt": "é\x1b"})
    with read_prompts(str(path)) as prompts:
        assert list(prompts.digests) == [*names, "a-2" if before else "a"]
    assert "\x1b" not in path.read_text(encoding="utf-8")


def test_a_file_that_is_no_prompts_file_is_refused(tmp_path: Path) -> None:
    """An invalid file, or a folder that is not there, is reported before anything is called."""
    (tmp_path / "p.jsonl").write_text("{", encoding="utf-8")
    for path in (tmp_path / "p.jsonl", tmp_path / "none" / "p.jsonl"):
        with pytest.raises(UsageError):
            PromptsAppender.open(path)


def test_the_first_free_number_is_used() -> None:
    """Ids are numbered from 2, and gaps are filled."""
    assert PromptsAppender(Path("p"), frozenset({"a", "a-2", "a-4"})).free_id("a") == "a-3"
