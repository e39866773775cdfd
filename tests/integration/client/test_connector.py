"""Reaching a server: its Python, folder, variables, protocol version, and older servers."""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from mcprun.client.connect_attempt import Candidate, candidates
from mcprun.client.target import HttpTarget, StdioTarget
from mcprun.limits import AUTO, LEGACY, MODERN
from tests.support.cli import QUICKSTART, RAW, SERVERS, run_mcprun, script, write_jsonl
from tests.support.http_server import http_server

__all__ = ["http_server"]

ENVIRONMENT = SERVERS / "environment.py"


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A query that calls nothing."""
    return write_jsonl(tmp_path / "p.jsonl", script())


COMMAND, POSTED, STREAMED = StdioTarget("x", "x"), HttpTarget("http://x"), HttpTarget("http://x", transport="sse")


@pytest.mark.parametrize(
    ("mode", "asked", "older"),
    [
        (AUTO, AUTO, {COMMAND.command: COMMAND, POSTED.url: STREAMED}),
        (LEGACY, AUTO, {POSTED.url: STREAMED}),
        (LEGACY, LEGACY, {POSTED.url: STREAMED}),
        (AUTO, MODERN, {}),
        (MODERN, AUTO, {POSTED.url: STREAMED}),
    ],
)
def test_an_older_server_is_tried_for_second(mode: str, asked: str, older: dict[str, StdioTarget | HttpTarget]) -> None:
    """Without the probe, or with SSE, unless the protocol is known or the user asked for the newest."""
    for name, target in (("x", COMMAND), ("http://x", POSTED), ("", STREAMED)):
        second = [Candidate(older[name], LEGACY)] if name in older else []
        assert candidates(target, mode, asked) == [Candidate(target, mode), *second]


@pytest.mark.parametrize("http_server", [("sse",)], indirect=True)
def test_sse_is_found_by_falling_back(tmp_path: Path, http_server: int) -> None:
    """A URL that refuses to be posted to is asked for SSE; what was found out holds for all sessions of the run."""
    calls = [script(("echo", {"text": "by event"}), id=name) for name in "abc"]
    prompts = write_jsonl(tmp_path / "p.jsonl", *calls)
    done = run_mcprun("batch", prompts, f"http://127.0.0.1:{http_server}/sse", "--servers", "2", cwd=tmp_path)
    assert (done.code, len(done.verdicts)) == (0, 3)
    starts = [event for event in done.trace if event["event"] == "server_start"]
    assert [start["protocol"] for start in starts] == ["2025-11-25"] * 2
    listed = run_mcprun("tools", f"http://127.0.0.1:{http_server}/sse", cwd=tmp_path)
    assert (listed.code, "echo{text: string}" in listed.stdout) == (0, True)


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_what_is_neither_is_told_as_it_was(tmp_path: Path, prompts: Path, http_server: int) -> None:
    """A wrong path is refused by both, and the first refusal is told."""
    done = run_mcprun("batch", prompts, f"http://127.0.0.1:{http_server}/wrong", cwd=tmp_path)
    assert (done.code, done.stderr.count("Error: ")) == (3, 1)
    assert "refused the connection: HTTP 404 Not Found (" in done.stderr


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_a_url_without_its_path(tmp_path: Path, http_server: int) -> None:
    """Where nothing is at the root, it is said where servers mostly are."""
    place = f"http://127.0.0.1:{http_server}"
    hint = "; most servers are at /mcp, and this URL has no path\n"
    for url in (place, f"{place}/"):
        done = run_mcprun("tools", url, cwd=tmp_path)
        assert (done.code, f"HTTP 404 Not Found ({url}){hint}" in done.stderr) == (3, True)
    elsewhere = run_mcprun("tools", f"{place}/wrong", cwd=tmp_path)
    assert (elsewhere.code, "/mcp" in elsewhere.stderr) == (3, False)
    assert run_mcprun("tools", f"{place}/mcp", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("status", "kind", "body", "expected"),
    [
        (
            403,
            None,
            b"Access is only\nallowed at localhost",
            "it forbids the request (403): Access is only allowed at localhost\n",
        ),
        (
            403,
            "text/plain; charset=utf-8",
            b"\x1b[2J" + b"x" * 10_000,
            "it forbids the request (403): \\x1b[2J" + "x" * 996 + "\n",
        ),
        (410, "text/html", b"<html><p>Moved <b>on</b>", "refused the connection: HTTP 410 Gone: Moved on ("),
        (503, "text/plain", b"", "refused the connection: HTTP 503 Service Unavailable ("),
        (
            400,
            "application/json",
            b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"No key"}}',
            "refused the connection: No key (",
        ),
    ],
)
def test_why_a_server_at_a_url_refuses(
    tmp_path: Path, status: int, kind: str | None, body: bytes, expected: str
) -> None:
    """HTTP's status and the words of the body, bounded, unless the answer is JSON-RPC's."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            if kind:
                self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            done = run_mcprun("tools", f"http://127.0.0.1:{server.server_port}/mcp", cwd=tmp_path)
        finally:
            server.shutdown()
            thread.join()
    assert (done.code, done.stderr.startswith("Error: "), expected in done.stderr) == (3, True, True)


@pytest.mark.parametrize(
    ("protocol", "spoken"), [("auto", "2026-07-28"), ("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")]
)
def test_the_protocol_may_be_chosen(tmp_path: Path, protocol: str, spoken: str) -> None:
    """Both eras give the same transcripts; the record says which was spoken."""
    done = run_mcprun("batch", *QUICKSTART, "--protocol", protocol, cwd=tmp_path)
    assert (done.code, done.record["server"]["protocol"]) == (0, spoken)
    assert done.bytes == run_mcprun("batch", *QUICKSTART, cwd=tmp_path).bytes


def test_a_protocol_that_a_server_does_not_speak(tmp_path: Path, prompts: Path) -> None:
    """Asked for, it is not given up for another one."""
    done = run_mcprun("batch", prompts, RAW, "--protocol", "2026-07-28", "--connect-timeout", "5", cwd=tmp_path)
    message = "Error: the server negotiated 2025-11-25, but --protocol requires 2026-07-28"
    assert (done.code, message in done.stderr) == (3, True)


def test_variables_of_files(tmp_path: Path, prompts: Path) -> None:
    """They reach the server, `--env` comes first, and what they hold is seen nowhere."""
    (tmp_path / "a.env").write_text('# ours\nTOKEN="from-the-file"\nexport COLOUR=from-the-file-too\n')
    (tmp_path / "b.env").write_text("COLOUR=from-another-one\n")
    flags = ("--env-file", "a.env", "--env-file", "b.env", "--env", "TOKEN=from-the-flag")
    done = run_mcprun("batch", prompts, ENVIRONMENT, *flags, cwd=tmp_path)
    log = (done.run / "server.log").read_text()
    assert (done.code, log.count("'TOKEN': '[redacted]'"), log.count("'COLOUR': '[redacted]'")) == (0, 1, 1)
    assert not any(b"from-" in file.read_bytes() for file in done.run.iterdir() if file.name != "run.json")
    again = run_mcprun("batch", "--resume", done.run, "--env", "TOKEN=from-the-flag", cwd=tmp_path)
    assert again.code == 0
    entry = {"command": sys.executable, "args": [str(ENVIRONMENT)], "envFile": "a.env"}
    (tmp_path / "mcp.json").write_text(json.dumps({"servers": {"it": entry}}))
    configured = run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path)
    assert "'COLOUR': '[redacted]'" in (configured.run / "server.log").read_text()


def test_another_folder_and_another_python(tmp_path: Path, prompts: Path) -> None:
    """The server's own file and the Python are seen from here, and the folder is where it works."""
    (tmp_path / "data").mkdir()
    (tmp_path / "here.py").write_text(f"import runpy\nrunpy.run_path({str(ENVIRONMENT)!r})\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "the named one" >&2\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = run_mcprun("batch", prompts, "here.py", "--cwd", "data", "--python", "./python", cwd=tmp_path)
    log = (done.run / "server.log").read_text()
    assert (done.code, "the named one" in log, f"in {tmp_path / 'data'}" in log) == (0, True, True)
    (tmp_path / "mcprun.toml").write_text('server = "here.py"\ncwd = "data"\nprompts = "p.jsonl"\n')
    (tmp_path / "within").mkdir()
    within = run_mcprun("batch", cwd=tmp_path / "within")
    assert (within.code, f"in {tmp_path / 'data'}" in (within.run / "server.log").read_text()) == (0, True)


@pytest.fixture
def two_folders(tmp_path: Path) -> Path:
    """A folder with `here.sh`, and below it `sub` with `run.sh`, which start the same server."""
    (tmp_path / "sub").mkdir()
    for file in (tmp_path / "here.sh", tmp_path / "sub" / "run.sh"):
        file.write_text(f"#!/bin/sh\nexec {sys.executable} {ENVIRONMENT}\n")
        file.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("entry", "server", "flags"),
    [
        ({"command": "./run.sh", "cwd": "sub"}, "mcp.json", ()),
        ({"command": "../sub/run.sh", "cwd": "nowhere"}, "mcp.json", ("--cwd", "sub")),
        ({"command": "run.sh", "cwd": "sub", "env": {"PATH": "nowhere:."}}, "mcp.json", ()),
        ({}, "./run.sh --flag", ("--cwd", "sub")),
        ({}, "./run.sh", ("--cwd", "sub")),
        ({}, "./here.sh", ("--cwd", "sub")),
    ],
)
def test_a_command_is_seen_from_the_folder_that_it_is_started_in(
    two_folders: Path, prompts: Path, entry: dict[str, Any], server: str, flags: tuple[str, ...]
) -> None:
    """In a configuration and as a command line, as a shell there would find it; a server file is seen from here."""
    (two_folders / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
    done = run_mcprun("batch", prompts, server, *flags, cwd=two_folders)
    assert (done.code, done.stderr.count("Error: ")) == (0, 0)
    assert f"in {two_folders / 'sub'}\n" in (done.run / "server.log").read_text()


def test_a_command_that_is_not_in_the_folder_it_is_started_in(two_folders: Path, prompts: Path) -> None:
    """It is not found, though it is there as seen from here; nor is a server file that is only there."""
    (two_folders / "sub" / "serve.py").touch()
    for server, message in [
        ("./here.sh --flag", "Error: server file not found: ./here.sh in sub\n"),
        ("serve.py", "Error: server file not found: serve.py\n"),
    ]:
        done = run_mcprun("batch", prompts, server, "--cwd", "sub", cwd=two_folders)
        assert (done.code, done.stderr) == (2, message)
    entry = {"command": "./here.sh", "cwd": "sub"}
    (two_folders / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
    done = run_mcprun("batch", prompts, "mcp.json", cwd=two_folders)
    assert (done.code, done.stderr.splitlines()[-1]) == (3, "Error: command not found: ./here.sh, relative to sub")


@pytest.mark.parametrize(
    ("server", "flags", "message"),
    [
        ("./nope --flag", ("--cwd", "nowhere"), "the server's working directory does not exist: nowhere"),
        (ENVIRONMENT, ("--env-file", "nope.env"), "can't read nope.env: No such file or directory"),
        (ENVIRONMENT, ("--cwd", "nowhere"), "the server's working directory does not exist: nowhere"),
        (ENVIRONMENT, ("--python", "no-such-python"), "--python: not found: no-such-python"),
        ("cat x", ("--python", sys.executable), "--python applies only to a .py file; for cat x, pass a command line"),
        ("http://127.0.0.1:9/", ("--cwd", os.sep), "--python and --cwd apply only to a server that mcprun starts"),
    ],
)
def test_what_can_not_be_meant(
    tmp_path: Path, prompts: Path, server: str | Path, flags: tuple[str, ...], message: str
) -> None:
    """Exit 2, and nothing is started."""
    done = run_mcprun("batch", prompts, server, *flags, cwd=tmp_path)
    assert (done.code, message in done.stderr) == (2, True)
    assert not (tmp_path / "outputs").exists()
