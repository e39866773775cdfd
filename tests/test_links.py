"""Links, pipes and folders in the place of a run's files: nothing is written through them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from mcprun._util.json_io import write_file
from mcprun.errors import UsageError
from mcprun.runs.directory import new_directory
from mcprun.runs.writer import RunWriter
from tests.support.cli import RAW, run_mcprun, script, write_jsonl

NAMES = (
    "transcripts.jsonl",
    "run.json",
    "server.log",
    "trace.jsonl",
    "retried.jsonl",
    "queries.jsonl",
    "prompts.jsonl",
)


def place(kind: str, file: Path, victim: Path) -> None:
    """Put something in place of a file."""
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
def test_each_is_refused_before_anything_is_written(tmp_path: Path, name: str, kind: str) -> None:
    """For a new run and for one that goes on, with its name."""
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("mine")
    out.mkdir()
    place(kind, out / name, victim)
    message = rf"{name} is (a (hard )?link|a folder|a pipe), and mcprun writes a run only to regular files of its own: remove it"
    with pytest.raises(UsageError, match=message):
        new_directory("p", str(out))
    with pytest.raises(UsageError, match=message):
        RunWriter(out)
    assert (victim.read_text(), [file.name for file in out.iterdir()]) == ("mine", [name])
    assert not victim.with_name("nowhere").exists()


def test_a_file_that_is_replaced_does_not_follow_a_link(tmp_path: Path) -> None:
    """Neither the file itself, nor what is written before it takes its place."""
    victim, file = tmp_path / "victim", tmp_path / "file"
    victim.write_text("mine")
    for link in (file, tmp_path / "file.new"):
        link.symlink_to(victim)
    write_file(file, b"ours")
    assert (victim.read_text(), file.read_bytes(), file.is_symlink()) == ("mine", b"ours", False)


def test_commands_refuse_them(tmp_path: Path) -> None:
    """With exit code 2; a link to a folder that is named itself is followed, and `outputs/latest` stays ours."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(id="a"), script(id="b"))
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to("real", target_is_directory=True)
    assert run_mcprun("batch", prompts, RAW, "--out", "run", cwd=tmp_path).code == 0
    assert run_mcprun("show", "latest", cwd=tmp_path).code == 0
    shutil.copytree(tmp_path / "real", tmp_path / "resumed")
    (tmp_path / "resumed" / "server.log").unlink()
    (tmp_path / "resumed" / "server.log").symlink_to(victim)
    for name in ("out", "merged"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trace.jsonl").symlink_to(victim)
    (tmp_path / "real" / "r.html").symlink_to(victim)
    shutil.copytree(tmp_path / "real", tmp_path / "backup", copy_function=os.link)
    for part in ("1/2", "2/2"):
        run_mcprun("batch", prompts, RAW, "--shard", part, "--out", f"s{part[0]}", cwd=tmp_path)
    for command in (
        ["batch", prompts, RAW, "--out", "out"],
        ["batch", "--resume", "resumed"],
        ["batch", "--resume", "backup"],
        ["merge", "s1", "s2", "--out", "merged"],
        ["report", "real", "--html", "real/r.html"],
        ["report", "real", "--junit", "real/run.json"],
        ["diff", "s1", "s2", "--html", "real/r.html"],
    ):
        done = run_mcprun(*command, cwd=tmp_path)
        stderr = any(words in done.stderr for words in ("is a link", "is a file of a run", "is a hard link"))
        assert (done.code, stderr) == (2, True), command
    assert victim.read_text() == "mine"
    for name in ("real", "backup"):
        assert run_mcprun("show", name, cwd=tmp_path).code == 0
