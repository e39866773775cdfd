"""Pipes, sockets, devices and folders in place of files are refused by name, without blocking."""

from __future__ import annotations

import shutil
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcprun._util import special_files
from mcprun._util.json_io import write_file
from mcprun._util.network import check_network
from mcprun._util.special_files import open_input
from mcprun.errors import UsageError
from mcprun.runs.directory import FILES
from mcprun.runs.run import Run
from tests.support.cli import RAW, run_mcprun, script, write_jsonl
from tests.support.special_files import place

KINDS = ("a folder", "a pipe", "a socket", "a device")


@pytest.fixture
def short_pipe_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the wait for the other end of a pipe."""
    monkeypatch.setattr(special_files, "PIPE_SECONDS", 0.05)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run two queries as two shards, `s1` and `s2`, and return the folder that contains them."""
    folder = tmp_path_factory.mktemp("runs")
    prompts = write_jsonl(folder / "p.jsonl", script(id="a"), script(id="b"))
    for part in ("1/2", "2/2"):
        done = run_mcprun("batch", prompts, RAW, "--shard", part, "--out", f"s{part[0]}", cwd=folder)
        assert done.code == 0
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_run_that_contains_a_special_file_is_refused(run: Path, tmp_path: Path, name: str, kind: str) -> None:
    """Reading a run that contains a special file raises an error that names the file and its kind."""
    shutil.copytree(run / "s1", tmp_path / "r")
    place(kind, tmp_path / "r" / name)
    with pytest.raises(UsageError, match=f"^{tmp_path}/r/{name} is {kind}, not a regular file$"):
        Run.read(str(tmp_path / "r"))


def test_every_command_refuses_special_files(run: Path, tmp_path: Path) -> None:
    """Commands that read a run, or a file that the user names, exit with 2 and one message about the special file."""
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    for name, file in (("r1", "trace.jsonl"), ("r2", "server.log"), ("r3", "transcripts.jsonl"), ("r4", "run.json")):
        shutil.copytree(run / "s1", tmp_path / name)
        place("a pipe", tmp_path / name / file)
    for file in ("queries.jsonl", "server.log", "trace.jsonl"):
        (tmp_path / "r4" / file).unlink()  # what a baseline does not have
    place("a pipe", tmp_path / "pipe.json")
    (tmp_path / "out").mkdir()
    place("a pipe", tmp_path / "page")
    for command in (
        ["show", "r1"],
        ["show", "r3", "a"],
        ["report", "r2"],
        ["report", "r4", "--junit", "x.xml"],
        ["report", "s1", "--junit", "page"],
        ["report", "s1", "--html", "page"],
        ["diff", "s1", "r3"],
        ["diff", "pipe.json", "s1"],
        ["merge", "r1", "s2", "--out", "m"],
        ["bless", "r2", "b"],
        ["bless", "s1", "r4"],
        ["batch", "--resume", "r1"],
        ["batch", "p.jsonl", RAW, "--model", "replay:r3"],
        ["batch", "p.jsonl", RAW, "--baseline", "r2"],
        ["tools", RAW, "--against", "pipe.json"],
        ["validate", "/dev/zero"],
        ["validate", "out"],
    ):
        done = run_mcprun(*command, cwd=tmp_path)
        lines = [line for line in done.stderr.splitlines() if " is a " in line]
        assert (done.code, len(lines)) == (2, 1), (command, done.stderr)


def test_reports_are_written_to_devices_and_pipes(run: Path, tmp_path: Path) -> None:
    """Reports can be written to devices, which stay devices, and to pipes that have a reader.

    `/dev/stdout` is the same as standard output.
    """
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    before = Path("/dev/null").stat().st_mode
    done = run_mcprun(
        "report", "s1", "--csv", "/dev/null", "--html", "/dev/null", "--junit", "/dev/stdout", cwd=tmp_path
    )
    assert (done.code, done.stderr, "<testsuites" in done.stdout) == (0, "", True)
    assert before == Path("/dev/null").stat().st_mode
    named = {"GITHUB_STEP_SUMMARY": "/dev/null", "GITHUB_OUTPUT": "/dev/null"}
    assert run_mcprun("report", "s1", "--github", cwd=tmp_path, env=named).code == 0
    twice = run_mcprun("report", "s1", "--csv", "-", "--junit", "/dev/stdout", cwd=tmp_path)
    assert (twice.code, "another report already goes to stdout" in twice.stderr) == (2, True)
    full = run_mcprun("report", "s1", "--html", "/dev/full", cwd=tmp_path)
    assert (full.code, full.stderr) == (2, "Error: can't write /dev/full: No space left on device\n")
    for form in ("csv", "html"):
        place("a pipe", tmp_path / form)
        with ThreadPoolExecutor() as pool:
            content = pool.submit((tmp_path / form).read_bytes)
            done = run_mcprun("report", "s1", f"--{form}", form, cwd=tmp_path)
        assert (done.code, stat.S_ISFIFO((tmp_path / form).stat().st_mode), content.result() != b"") == (0, True, True)


def test_pipes_with_a_writer_are_read(tmp_path: Path) -> None:
    """Prompts, configurations and variables can be read from stdin, by any of its names, or from a named pipe."""
    (tmp_path / "mcp.json").symlink_to("/dev/stdin")
    query = '{"id": "a", "prompt": "?", "script": [{"text": "Yes."}]}\n'
    for name in ("/dev/stdin", "-", "/dev/fd/0"):
        assert run_mcprun("batch", name, RAW, cwd=tmp_path, input=query).code == 0
    place("a pipe", tmp_path / "named")
    writer = threading.Thread(target=(tmp_path / "named").write_text, args=(query,))
    writer.start()
    done = run_mcprun("validate", "named", cwd=tmp_path)
    writer.join()
    assert (done.code, "1 query" in done.stdout) == (0, True)
    server = f'{{"mcpServers": {{"raw": {{"command": "python3", "args": ["{RAW}"]}}}}}}'
    assert run_mcprun("tools", "mcp.json", cwd=tmp_path, input=server).code == 0
    done = run_mcprun("tools", RAW, "--env-file", "/dev/stdin", cwd=tmp_path, input="A=1\n")
    assert done.code == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("short_pipe_timeout")
def test_special_files_are_refused_as_prompts_and_certificates(tmp_path: Path, kind: str) -> None:
    """A special file is refused as a prompts file and as `SSL_CERT_FILE`."""
    place(kind, tmp_path / "file")
    with pytest.raises(UsageError, match=f"file is {kind}"):
        open_input(tmp_path / "file")
    with pytest.raises(UsageError, match=f"SSL_CERT_FILE(:| names) .*file(,| is) {kind}"):
        check_network({"SSL_CERT_FILE": str(tmp_path / "file")})


@pytest.mark.parametrize("kind", KINDS)
def test_special_files_are_never_replaced(tmp_path: Path, kind: str) -> None:
    """Writing a file in place of a special file is refused, and the special file does not change."""
    file = tmp_path / "file"
    place(kind, file)
    before = file.lstat()
    with pytest.raises(UsageError, match=f"file is {kind}, not a regular file"):
        write_file(file, b"ours")
    assert (before, ["file"]) == (file.lstat(), [one.name for one in tmp_path.iterdir()])
