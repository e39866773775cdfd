"""`--scratch`: each server works in a new folder, which is deleted afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mcprun.client.scratch import samples
from tests.support.cli import RAW, run_mcprun, stdlib_server, write_jsonl

SAMPLES = [
    "README.md",
    "example",
    *(f"example.{suffix}" for suffix in ("csv", "json", "pdf", "png", "txt", "xlsx")),
]

COMMIT = "c81cae157d7f9f13f23d9002e74bd0af882cda4d Example Add a file\n"

SERVER = stdlib_server("""
import os
server = StdlibServer("scratch")

@server.tool()
def look() -> str:
    return os.getcwd() + ":" + ",".join(sorted(os.listdir())) + ":" + ",".join(sys.argv[1:])

@server.tool()
def leave() -> None:
    open("left.txt", "x").close()

server.run()
""")


def script(name: str, *tools: str) -> dict[str, Any]:
    """Build a query whose script calls tools."""
    turns: list[dict[str, Any]] = [{"calls": [{"tool": tool}]} for tool in tools]
    return {"id": name, "prompt": "Go.", "script": [*turns, {"text": "Done."}]}


def looked(run: list[dict[str, Any]]) -> list[list[str]]:
    """Return what each query saw at last: its folder, the files there, and the server's arguments."""
    return [one["calls"][-1]["content"][0]["text"].split(":") for one in run]


def test_each_server_has_a_new_folder(tmp_path: Path) -> None:
    """With `--fresh-server`, no query finds the files of another, and nothing is left in the folders of either."""
    (tmp_path / "server.py").write_text(SERVER)
    write_jsonl(tmp_path / "p.jsonl", script("a", "leave", "look"), script("b", "look"))
    flags = ("--scratch", "--fresh-server", "--", "server.py", "nothing")
    run = run_mcprun("batch", "p.jsonl", "server.py", *flags, cwd=tmp_path)
    assert run.code == 0
    (first, files, arguments), (second, others, _) = looked(run.transcripts)
    assert (files.split(","), others.split(",")) == ([*SAMPLES, "left.txt"], SAMPLES)
    assert first != second
    assert not Path(first).exists()
    assert not Path(second).exists()
    assert arguments.split(",") == [str(tmp_path / "server.py"), "nothing"]
    assert not (tmp_path / "left.txt").exists()
    assert run.record["arguments"]["scratch"] is True


def test_a_shared_server_has_one_folder(tmp_path: Path) -> None:
    """Without `--fresh-server`, queries share the folder with the server. A file of the project may set the option."""
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "mcprun.toml").write_text("scratch = true\nconcurrency = 1\n")
    write_jsonl(tmp_path / "p.jsonl", script("a", "leave"), script("b", "look"))
    run = run_mcprun("batch", "p.jsonl", "server.py", cwd=tmp_path)
    assert run.code == 0
    assert looked(run.transcripts[1:])[0][1].split(",") == [*SAMPLES, "left.txt"]
    here = run_mcprun("batch", "p.jsonl", "server.py", "--cwd", ".", cwd=tmp_path)
    assert (here.code, (tmp_path / "left.txt").exists()) == (0, True)


@pytest.mark.parametrize(
    ("server", "flags", "message"),
    [
        (RAW, ["--cwd", "."], f"--scratch cannot be combined with the working directory of {RAW}: ."),
        ("servers.json", [], "--scratch cannot be combined with the working directory of servers.json#one: /"),
        ("http://127.0.0.1:9/mcp", [], "--scratch applies only to a server that mcprun starts; http://127.0.0.1:9/mcp is"),
    ],
)  # fmt: skip
def test_a_server_with_its_own_folder_is_refused(
    tmp_path: Path, server: str | Path, flags: list[str], message: str
) -> None:
    """`--scratch` applies neither to a server with a working directory of its own nor to one at a URL."""
    (tmp_path / "servers.json").write_text(json.dumps({"mcpServers": {"one": {"command": "true", "cwd": "/"}}}))
    write_jsonl(tmp_path / "p.jsonl", script("a", "ok"))
    run = run_mcprun("batch", "p.jsonl", server, "--scratch", *flags, cwd=tmp_path)
    assert (run.code, message in run.stderr) == (2, True), run.stderr


@pytest.mark.skipif(not shutil.which("git"), reason="Git is not installed")
def test_a_folder_holds_a_repository(tmp_path: Path) -> None:
    """Its commit is the same everywhere, whatever the user has configured; one file is not committed."""
    files = {path: content for path, content in samples().items() if path.startswith("example/")}
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)

    def git(*arguments: str) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.run(
            ["git", *arguments], cwd=tmp_path / "example", env=env, check=True, capture_output=True, text=True
        ).stdout

    assert git("log", "--format=%H %an %s") == COMMIT
    assert git("status", "--porcelain") == "?? example.txt\n"
    git("add", "example.txt")
    git("commit", "--quiet", "--message=Add another")
