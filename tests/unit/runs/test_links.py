"""Links, pipes and folders in place of a run's files: mcprun never writes through them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mcprun._util.json_io import write_file
from mcprun.errors import UsageError
from mcprun.runs.directory import new_directory
from mcprun.runs.writer import RunWriter

NAMES = (
    "transcripts.jsonl",
    "run.json",
    "server.log",
    "trace.jsonl",
    "retried.jsonl",
    "queries.jsonl",
    "prompts.jsonl",
)


def create(kind: str, file: Path, victim: Path) -> None:
    """Create a link, a folder or a pipe in place of a file."""
    match kind:
        case "a link":
            file.symlink_to(victim)
        case "a dangling link":
            file.symlink_to(victim.with_name("nowhere"))
        case "a link to a folder":
            file.symlink_to(victim.parent, target_is_directory=True)
        case "a folder":
            file.mkdir()
        case "a hard link":
            file.hardlink_to(victim)
        case _:
            if sys.platform == "win32":
                raise NotImplementedError
            os.mkfifo(file)


KINDS = ("a link", "a hard link", "a dangling link", "a link to a folder", "a folder", "a pipe")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*NAMES, "run.json.new", "transcripts.jsonl.new"])
def test_irregular_file_is_refused_before_writing(tmp_path: Path, name: str, kind: str) -> None:
    """A new run and a resumed run are refused with the name of the file."""
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("mine")
    out.mkdir()
    create(kind, out / name, victim)
    message = rf"{name} is (a (hard )?link|a folder|a pipe), and mcprun writes a run only to regular files of its own: remove it"
    with pytest.raises(UsageError, match=message):
        new_directory("p", str(out))
    with pytest.raises(UsageError, match=message):
        RunWriter(out)
    assert (victim.read_text(), [file.name for file in out.iterdir()]) == ("mine", [name])
    assert not victim.with_name("nowhere").exists()


def test_write_file_replaces_links(tmp_path: Path) -> None:
    """Neither the file nor its temporary file is written through a link."""
    victim, file = tmp_path / "victim", tmp_path / "file"
    victim.write_text("mine")
    for link in (file, tmp_path / "file.new"):
        link.symlink_to(victim)
    write_file(file, b"ours")
    assert (victim.read_text(), file.read_bytes(), file.is_symlink()) == ("mine", b"ours", False)
