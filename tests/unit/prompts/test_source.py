"""The prompts files that a pattern matches, for `mcprun batch` and for pytest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.prompts.patterns import files_of, fits

FILES = ("a.jsonl", "b.txt", "tests/a.jsonl", "tests/[x].jsonl", "tests/deep/a.jsonl", "tests/deep/er/b.jsonl",
         "outputs/r/transcripts.jsonl", "outputs/a.jsonl", "tests/outputs/r/prompts.jsonl", "run/transcripts.jsonl",
         "run/more/a.jsonl", ".venv/lib/a.jsonl", "tests/.hidden.jsonl", "tests/deep/.git/b.jsonl")  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a project with prompts files and runs, below a folder called `outputs`."""
    folder = tmp_path / "outputs" / "project"
    for name in FILES:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (folder / "run" / "run.json").touch()
    (folder / "run.json").touch()  # does not make the project's root a run directory
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jsonl", ["a.jsonl"]),
        ("tests/*.jsonl", ["tests/[x].jsonl", "tests/a.jsonl"]),
        ("./tests/*/*.jsonl", ["tests/deep/a.jsonl"]),
        ("**/a.jsonl", ["a.jsonl", "tests/a.jsonl", "tests/deep/a.jsonl"]),
        ("tests/**/*.jsonl", ["tests/[x].jsonl", "tests/a.jsonl", "tests/deep/a.jsonl", "tests/deep/er/b.jsonl"]),
        ("tests/**/er/*", ["tests/deep/er/b.jsonl"]),
        ("tests/?.jsonl", ["tests/a.jsonl"]),
        ("tests/[x].jsonl", ["tests/[x].jsonl"]),
        ("outputs/*/*.jsonl", []),
        ("run/*.jsonl", []),
        ("**/prompts.jsonl", []),
        ("*/none.jsonl", []),
        ("tests/.*.jsonl", ["tests/.hidden.jsonl"]),
        (".v*/**/*.jsonl", [".venv/lib/a.jsonl"]),
        (".venv/lib/*.jsonl", [".venv/lib/a.jsonl"]),
        ("**/.git/*", ["tests/deep/.git/b.jsonl"]),
    ],
)
def test_a_pattern_matches_the_same_files_in_batch_and_pytest(project: Path, pattern: str, expected: list[str]) -> None:
    """`mcprun batch` and pytest find the same files for a pattern, and an absolute pattern finds the same files."""
    assert expected == files_of(pattern)
    assert expected == sorted(name for name in FILES if fits(project / name, pattern, project))
    assert [str(project / name) for name in expected] == files_of(str(project / pattern))


def test_a_pattern_may_refer_to_a_parent_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern may start with `..`, like one from a project file in the parent folder."""
    monkeypatch.chdir(project / "run")
    assert files_of("../tests/*.jsonl") == ["../tests/[x].jsonl", "../tests/a.jsonl"]
    assert fits(project / "tests" / "a.jsonl", "../tests/*.jsonl", project / "run")


@given(st.lists(st.sampled_from(["**", "*", "a", "?", "b"]), max_size=8), st.lists(st.sampled_from("ab"), max_size=8))
def test_two_stars_match_any_number_of_folders(pattern: list[str], path: list[str]) -> None:
    """`**` matches any number of folders, and every other part matches one name."""

    def match(left: list[str], names: list[str]) -> bool:
        if not left:
            return not names
        if left[0] == "**":
            return any(match(left[1:], names[at:]) for at in range(len(names) + 1))
        return bool(names) and left[0] in ("*", "?", names[0]) and match(left[1:], names[1:])

    root = Path("/nowhere")
    assert fits(root.joinpath(*path), "/".join(pattern) or ".", root) == match(pattern, path)
