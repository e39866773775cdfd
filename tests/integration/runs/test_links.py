"""Commands refuse runs whose files are links."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support.cli import RAW, run_mcprun, script, write_jsonl


def test_commands_refuse_links(tmp_path: Path) -> None:
    """Writing through a symbolic or hard link exits with 2 and leaves its target unchanged.

    A run folder that is itself a link is followed, and `outputs/latest` still works.
    """
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
