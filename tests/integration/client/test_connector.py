"""Connecting to a server: its Python, folder, variables and protocol version, and the fallback to older servers."""

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
    """Write a query that calls nothing."""
    return write_jsonl(tmp_path / "p.jsonl", script())


STDIO, STREAMABLE_HTTP, SSE = StdioTarget("x", "x"), HttpTarget("http://x"), HttpTarget("http://x", transport="sse")


@pytest.mark.parametrize(
    ("mode", "requested", "fallbacks"),
    [
        (AUTO, AUTO, {STDIO.command: STDIO, STREAMABLE_HTTP.url: SSE}),
        (LEGACY, AUTO, {STREAMABLE_HTTP.url: SSE}),
        (LEGACY, LEGACY, {STREAMABLE_HTTP.url: SSE}),
        (AUTO, MODERN, {}),
        (MODERN, AUTO, {STREAMABLE_HTTP.url: SSE}),
    ],
)
def test_older_connection_is_the_second_candidate(
    mode: str, requested: str, fallbacks: dict[str, StdioTarget | HttpTarget]
) -> None:
    """A command is tried again without the probe, and a URL over SSE.

    Neither is tried again if the protocol is known or the newest one is requested.
    """
    for name, target in (("x", STDIO), ("http://x", STREAMABLE_HTTP), ("", SSE)):
        fallback = [Candidate(fallbacks[name], LEGACY)] if name in fallbacks else []
        assert candidates(target, mode, requested) == [Candidate(target, mode), *fallback]


@pytest.mark.parametrize("http_server", [("sse",)], indirect=True)
def test_url_that_refuses_post_falls_back_to_sse(tmp_path: Path, http_server: int) -> None:
    """A URL that refuses POST is tried over SSE, and all sessions of the run reuse the outcome."""
    calls = [script(("echo", {"text": "by event"}), id=name) for name in "abc"]
    prompts = write_jsonl(tmp_path / "p.jsonl", *calls)
    done = run_mcprun("batch", prompts, f"http://127.0.0.1:{http_server}/sse", "--servers", "2", cwd=tmp_path)
    assert (done.code, len(done.verdicts)) == (0, 3)
    starts = [event for event in done.trace if event["event"] == "server_start"]
    assert [start["protocol"] for start in starts] == ["2025-11-25"] * 2
    listed = run_mcprun("tools", f"http://127.0.0.1:{http_server}/sse", cwd=tmp_path)
    assert (listed.code, "echo{text: string}" in listed.stdout) == (0, True)


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_first_refusal_is_reported_if_both_transports_fail(tmp_path: Path, prompts: Path, http_server: int) -> None:
    """A wrong path is refused by both HTTP transports, and the error reports the first refusal."""
    done = run_mcprun("batch", prompts, f"http://127.0.0.1:{http_server}/wrong", cwd=tmp_path)
    assert (done.code, done.stderr.count("Error: ")) == (3, 1)
    assert f"nothing is served at http://127.0.0.1:{http_server}/wrong (HTTP 404 Not Found)" in done.stderr


@pytest.mark.parametrize("http_server", [("streamable-http",)], indirect=True)
def test_a_url_at_which_nothing_is_served_gets_a_hint(tmp_path: Path, http_server: int) -> None:
    """A 404 adds where most servers are: the paths of both transports, except that of the URL itself."""
    root = f"http://127.0.0.1:{http_server}"
    both = f"{root}/mcp or {root}/sse"
    for url, others in ((root, both), (f"{root}/", both), (f"{root}/wrong", both), (f"{root}/sse", f"{root}/mcp")):
        done = run_mcprun("tools", url, cwd=tmp_path)
        message = f"Error: nothing is served at {url} (HTTP 404 Not Found): try {others}\n"
        assert (done.code, message in done.stderr) == (3, True)
    assert run_mcprun("tools", f"{root}/mcp", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("status", "content_type", "body", "expected"),
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
        (501, "text/plain", b"", "; nothing accepts MCP requests at that path: try http://127.0.0.1:"),
        (503, "text/plain", b"", "refused the connection: HTTP 503 Service Unavailable ("),
        (
            400,
            "application/json",
            b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"No key"}}',
            "refused the connection: No key (",
        ),
    ],
)
def test_http_refusal_reports_status_and_body(
    tmp_path: Path, status: int, content_type: str | None, body: bytes, expected: str
) -> None:
    """The error has the HTTP status and the text of the body, truncated, or the message of a JSON-RPC error."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            if content_type:
                self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

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
    ("protocol", "negotiated"), [("auto", "2026-07-28"), ("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")]
)
def test_protocol_option_selects_the_version(tmp_path: Path, protocol: str, negotiated: str) -> None:
    """Both protocol eras give the same transcripts, and the run records the negotiated version."""
    done = run_mcprun("batch", *QUICKSTART, "--protocol", protocol, cwd=tmp_path)
    assert (done.code, done.record["server"]["protocol"]) == (0, negotiated)
    assert done.bytes == run_mcprun("batch", *QUICKSTART, cwd=tmp_path).bytes


def test_unsupported_protocol_version_is_refused(tmp_path: Path, prompts: Path) -> None:
    """A version set by `--protocol` is not replaced by another one."""
    done = run_mcprun("batch", prompts, RAW, "--protocol", "2026-07-28", "--connect-timeout", "5", cwd=tmp_path)
    message = "Error: the server negotiated 2025-11-25, but --protocol requires 2026-07-28"
    assert (done.code, message in done.stderr) == (3, True)


def test_env_file_variables_reach_the_server_redacted(tmp_path: Path, prompts: Path) -> None:
    """Variables of `--env-file` reach the server, `--env` takes precedence, and their values are redacted."""
    (tmp_path / "a.env").write_text('# ours\nTOKEN="from-the-file"\nexport COLOUR=from-the-file-too\n')
    (tmp_path / "b.env").write_text("COLOUR=from-another-one\n")
    flags = ("--env-file", "a.env", "--env-file", "b.env", "--env", "TOKEN=from-the-flag")
    done = run_mcprun("batch", prompts, ENVIRONMENT, *flags, cwd=tmp_path)
    log = (done.run / "server.log").read_text()
    assert (done.code, log.count("'TOKEN': '[redacted]'"), log.count("'COLOUR': '[redacted]'")) == (0, 1, 1)
    assert not any(b"from-" in file.read_bytes() for file in done.run.iterdir() if file.name != "run.json")
    resumed = run_mcprun("batch", "--resume", done.run, "--env", "TOKEN=from-the-flag", cwd=tmp_path)
    assert resumed.code == 0
    entry = {"command": sys.executable, "args": [str(ENVIRONMENT)], "envFile": "a.env"}
    (tmp_path / "mcp.json").write_text(json.dumps({"servers": {"it": entry}}))
    configured = run_mcprun("batch", prompts, "mcp.json", cwd=tmp_path)
    assert "'COLOUR': '[redacted]'" in (configured.run / "server.log").read_text()


def test_cwd_and_python_options_apply_to_the_server(tmp_path: Path, prompts: Path) -> None:
    """The server file and `--python` are resolved from mcprun's folder. `--cwd` is the server's working directory."""
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
    from_subfolder = run_mcprun("batch", cwd=tmp_path / "within")
    assert (from_subfolder.code, f"in {tmp_path / 'data'}" in (from_subfolder.run / "server.log").read_text()) == (
        0,
        True,
    )


@pytest.fixture
def two_folders(tmp_path: Path) -> Path:
    """Write `here.sh` and `sub/run.sh`, which start the same server, and return the folder of both."""
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
def test_command_is_resolved_from_its_working_directory(
    two_folders: Path, prompts: Path, entry: dict[str, Any], server: str, flags: tuple[str, ...]
) -> None:
    """A configured command and a command line are resolved as a shell in that folder would.

    A server file is resolved from mcprun's folder.
    """
    (two_folders / "mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
    done = run_mcprun("batch", prompts, server, *flags, cwd=two_folders)
    assert (done.code, done.stderr.count("Error: ")) == (0, 0)
    assert f"in {two_folders / 'sub'}\n" in (done.run / "server.log").read_text()


def test_command_that_is_not_in_its_working_directory_is_not_found(two_folders: Path, prompts: Path) -> None:
    """A command that exists only relative to mcprun's folder is not found.

    Nor is a server file that exists only in `--cwd`.
    """
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
def test_wrong_usage_is_refused(
    tmp_path: Path, prompts: Path, server: str | Path, flags: tuple[str, ...], message: str
) -> None:
    """Wrong usage exits with 2, and nothing is started."""
    done = run_mcprun("batch", prompts, server, *flags, cwd=tmp_path)
    assert (done.code, message in done.stderr) == (2, True)
    assert not (tmp_path / "outputs").exists()
