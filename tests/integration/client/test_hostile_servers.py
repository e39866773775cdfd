"""Hostile servers: every flood and every malformed message has a limit and a message, and other queries pass."""

from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mcprun._util.operating_system import KILL, send_signal
from mcprun.client.server_log import ServerLog
from mcprun.runs.redaction import Redactor
from tests.support.cli import SERVERS, Result, clean_environment, script, write_jsonl
from tests.support.forks import Forks

HOSTILE = SERVERS / "hostile.py"

BIG_RESULT_BYTES = 50_000_000


def run_against(
    mcprun: Forks, folder: Path, mode: str, *calls: tuple[str, dict[str, Any]], flags: tuple[str, ...] = ()
) -> Result:
    """Run one query per call, in order, and then a query called `good`."""
    queries = [script(call) | {"id": f"{number}"} for number, call in enumerate(calls)]
    write_jsonl(folder / "p.jsonl", *queries, script(("ok", {}), id="good"))
    flags = ("--concurrency", "1", "--call-timeout", "20", *flags)
    done = mcprun.run("batch", "p.jsonl", HOSTILE, *flags, "--", mode, cwd=folder)
    assert "Traceback" not in done.stderr
    return done


def first_result_texts(done: Result) -> list[str]:
    """Return the text of each query's first result."""
    return [transcript["calls"][0]["content"][0]["text"] for transcript in done.transcripts]


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        ("flood-stderr", [("ok", {})]),
        ("cycles", [("itself", {}), ("each-other", {}), ("nowhere", {})]),
        ("names", [("n" * 5000, {}), ("new\nline", {}), ("\x1b[31mred\x1b[0m", {}), ("nul\0nul", {})]),
        ("invalid-utf8", [("bytes", {})]),
        ("nul", [("nul", {})]),
        ("surrogates", [("surrogates", {})]),
        ("numbers", [("infinite", {}), ("nan", {})]),
        ("deep", [("deep", {"levels": 150})]),
        ("ids", [("string-id", {}), ("twice", {})]),
        ("requests", [("ask", {})]),
        ("list-changed", [("ok", {}), ("ok", {})]),
    ],
)
def test_odd_but_harmless_output_is_accepted(
    mcprun: Forks, tmp_path: Path, mode: str, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    """Odd but harmless output is accepted as it is, and every query passes."""
    done = run_against(mcprun, tmp_path, mode, *calls)
    assert (done.code, set(done.verdicts.values()), len(done.verdicts)) == (0, {"passed"}, len(calls) + 1)


@pytest.mark.parametrize(
    ("mode", "call", "message"),
    [
        (
            "big",
            ("big", {"bytes": BIG_RESULT_BYTES}),
            r"No result of big: the answer has 50,000,\d+ bytes, and --max-result-bytes",
        ),
        (
            "big-last",
            ("big", {"bytes": BIG_RESULT_BYTES}),
            r"No result of big: the answer has 50,000,\d+ bytes, and --max-result-bytes",
        ),
        (
            "deep",
            ("deep", {"levels": 100_000}),
            "No result of deep: the answer can't be read: it is nested more than 200 deep",
        ),
        ("ids", ("no-result", {}), "No result of no-result: the answer can't be read: it has neither a result nor"),
        ("ids", ("both", {}), "and it failed"),
    ],
)
def test_unusable_result_fails_its_call_at_once(
    mcprun: Forks, tmp_path: Path, mode: str, call: tuple[str, dict[str, Any]], message: str
) -> None:
    """The model gets the reason as an error before any timeout, and the session goes on."""
    done = run_against(mcprun, tmp_path, mode, call)
    assert (done.code, done.verdicts) == (1, {"0": "failed", "good": "passed"})
    assert re.match(message, first_result_texts(done)[0])
    assert done.transcripts[0]["calls"][0]["is_error"]


def test_response_with_an_unknown_id_times_out(mcprun: Forks, tmp_path: Path) -> None:
    """A response whose id matches no request is recorded and reported by a warning, and the call times out."""
    done = run_against(mcprun, tmp_path, "ids", ("wrong-id", {}), flags=("--call-timeout", "0.5"))
    assert (done.code, done.verdicts) == (1, {"0": "failed", "good": "passed"})
    assert first_result_texts(done)[0] == "No answer from wrong-id within 0.5 s."
    warning = "the server sent a result whose id (987654321) matches no request while one request was pending"
    assert warning in done.stderr
    assert [warning] == [event["text"][: len(warning)] for event in done.trace if event["event"] == "stray_answer"]


def test_response_without_an_id_is_for_the_only_request(mcprun: Forks, tmp_path: Path) -> None:
    """The result is used, with a warning, since other clients would wait for it until they time out."""
    done = run_against(mcprun, tmp_path, "ids", ("null-id", {}), flags=("--call-timeout", "5"))
    assert (done.code, done.verdicts) == (0, {"0": "passed", "good": "passed"})
    assert "the server sent a result without an id while one request was pending" in done.stderr


def test_max_result_bytes_allows_a_big_result(mcprun: Forks, tmp_path: Path) -> None:
    """`--max-result-bytes` raises the limit."""
    flags = ("--max-result-bytes", "60000000")
    done = run_against(mcprun, tmp_path, "big", ("big", {"bytes": BIG_RESULT_BYTES}), flags=flags)
    assert (done.code, len(first_result_texts(done)[0])) == (0, BIG_RESULT_BYTES)


def test_big_notification_is_dropped(mcprun: Forks, tmp_path: Path) -> None:
    """A notification above the limit is dropped with a warning, and the response after it is used."""
    done = run_against(mcprun, tmp_path, "big-notification", ("big", {"bytes": BIG_RESULT_BYTES}))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert re.search(r"the message has 50,000,\d+ bytes, and --max-result-bytes allows 10,485,760", done.stderr)


def test_endless_line_ends_the_server(mcprun: Forks, tmp_path: Path) -> None:
    """A server that never ends its line is shut down. Its query is an error that says so, and the next query passes."""
    done = run_against(mcprun, tmp_path, "flood-open", ("flood", {}), flags=("--max-result-bytes", "1000000"))
    assert (done.code, done.verdicts) == (3, {"0": "error", "good": "passed"})
    error = done.transcripts[0]["error"]
    assert error["kind"] == "server_died"
    assert re.search(r"\[the server wrote 2\d,\d{3},\d{3} bytes to stdout without a newline\]", error["message"])


def test_garbage_on_stdout_is_bounded(mcprun: Forks, tmp_path: Path) -> None:
    """Garbage causes one warning, the trace has its first 100 lines, and every query passes."""
    done = run_against(mcprun, tmp_path, "flood-lines", *(("ok", {}) for _ in range(5)))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert done.stderr.count("Warning: the server wrote non-protocol output to stdout") == 1
    noise = [event for event in done.trace if event["event"] == "noise"]
    assert len(noise) == 100
    assert noise[0]["text"].startswith("[garbage] this is no message")


def test_five_hundred_tools_are_listed(mcprun: Forks, tmp_path: Path) -> None:
    """All tools are listed and can be called, even if each query gets a fresh server."""
    done = run_against(mcprun, tmp_path, "many", ("tool-000", {}), ("tool-499", {}), flags=("--fresh-server",))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert len(done.record["server"]["tools"]) == 501


def test_response_sent_byte_by_byte_times_out(mcprun: Forks, tmp_path: Path) -> None:
    """Receiving single bytes does not extend the time limit of a call."""
    done = run_against(mcprun, tmp_path, "slow-drip", ("drip", {}), flags=("--call-timeout", "0.5"))
    assert done.verdicts["0"] == "failed"
    assert first_result_texts(done)[0] == "No answer from drip within 0.5 s."


def test_server_that_closes_its_stdout_is_restarted(mcprun: Forks, tmp_path: Path) -> None:
    """A server that closes stdout counts as dead although it keeps running."""
    done = run_against(mcprun, tmp_path, "closes-stdout", ("close", {}))
    assert (done.code, done.verdicts) == (3, {"0": "error", "good": "passed"})
    assert done.transcripts[0]["error"]["kind"] == "server_died"


def test_server_that_ignores_shutdown_is_killed(mcprun: Forks, tmp_path: Path) -> None:
    """A server that ignores the end of stdin and SIGTERM is killed, and the run's exit code is 0."""
    assert run_against(mcprun, tmp_path, "ignores-eof").code == 0


def test_terminal_escapes_of_a_server_are_made_visible(mcprun: Forks, tmp_path: Path) -> None:
    """Escapes in results, errors, stderr and names are shown as text by `batch`, `show` and `show` of one query."""
    calls: list[tuple[str, dict[str, Any]]] = [
        (name, {}) for name in ("escapes", "error-escapes", "refused-escapes", "dies-escapes")
    ]
    done = run_against(mcprun, tmp_path, "escapes", *calls)
    assert list(done.verdicts.values()) == ["passed", "failed", "failed", "error", "passed"]
    outputs = [mcprun.run("show", "latest", *query, cwd=tmp_path) for query in ([], ["0"], ["1"], ["2"], ["3"])]
    for result in (done, *outputs):
        for character in set(result.stdout + result.stderr) - set("\n\t"):
            assert unicodedata.category(character) not in {"Cc", "Cf"}
    assert r"before\x1b[2J" in outputs[1].stdout


def test_server_log_is_bounded(tmp_path: Path) -> None:
    """`server.log` stops at its limit and says so. `write` still returns each line."""
    log = ServerLog(tmp_path / "server.log", Redactor(), 100)
    lines = [log.write(f"line {number}\n") for number in range(50)]
    assert lines[-1] == "line 49\n"
    text = (tmp_path / "server.log").read_text()
    assert text.startswith("line 0\n")
    assert text.endswith("[server.log reached its size limit; further output is not recorded]\n")
    assert len(text) < 200


@contextmanager
def run_http_server(mode: str, port: int = 0) -> Iterator[int]:
    """Run the hostile server over HTTP, and yield its port."""
    process = subprocess.Popen(
        [sys.executable, str(SERVERS / "hostile_http.py"), mode, str(port)],
        env=clean_environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate(timeout=30)


def run_over_http(
    mcprun: Forks, folder: Path, port: int, *tools: str, flags: tuple[str, ...] = (), **input: Any
) -> Result:
    """Run one query per tool, in order."""
    queries = [script((tool, input if tool.startswith("big") else {})) | {"id": f"{n}"} for n, tool in enumerate(tools)]
    write_jsonl(folder / "p.jsonl", *queries)
    flags = ("--concurrency", "1", *flags)
    return mcprun.run("batch", "p.jsonl", f"http://127.0.0.1:{port}/mcp", *flags, cwd=folder)


@pytest.mark.parametrize("mode", ["expires", "expires-null", "expires-bare"])
def test_expired_session_is_replaced(mcprun: Forks, tmp_path: Path, mode: str) -> None:
    """A session that the server no longer knows (404, whatever the body) is replaced. No query fails or is retried."""
    with run_http_server(mode) as port:
        done = run_over_http(mcprun, tmp_path, port, *["ok"] * 10)
    assert (done.code, set(done.verdicts.values()), len(done.verdicts)) == (0, {"passed"}, 10)
    names = [event["event"] for event in done.trace]
    assert (names.count("server_start"), names.count("session_renewed"), names.count("server_restart")) == (1, 3, 0)
    assert {transcript["attempts"] for transcript in done.transcripts} == {1}


def test_queries_are_retried_after_a_connection_reset(mcprun: Forks, tmp_path: Path) -> None:
    """Every fifth call is reset. The queries are retried and pass."""
    with run_http_server("resets") as port:
        done = run_over_http(mcprun, tmp_path, port, *["ok"] * 12, flags=("--concurrency", "4"))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})


def test_server_that_comes_back_serves_the_other_queries(mcprun: Forks, tmp_path: Path) -> None:
    """The query that stops the server is an error. When the server is back, the others pass."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = f"while true; do {sys.executable} {SERVERS / 'hostile_http.py'} goes-away {port}; done"
    respawner = subprocess.Popen(
        ["sh", "-c", command], env=clean_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert respawner.stdout
        assert respawner.stdout.readline().strip() == str(port)
        done = run_over_http(mcprun, tmp_path, port, "ok", "die", "ok", "ok")
    finally:
        send_signal(respawner.pid, KILL)
        respawner.communicate(timeout=30)
    assert (done.code, done.verdicts) == (3, {"0": "passed", "1": "error", "2": "passed", "3": "passed"})
    assert done.transcripts[1]["error"]["kind"] == "server_died"
    assert "The connection to the server was lost; reconnecting" in done.stderr


def test_server_that_stays_away_uses_up_the_restarts(mcprun: Forks, tmp_path: Path) -> None:
    """The restarts are used up, then the run ends with the results so far and the command that resumes it."""
    with run_http_server("goes-away") as port:
        done = run_over_http(mcprun, tmp_path, port, "ok", "die", "ok", flags=("--restarts", "3"))
    assert (done.code, done.verdicts) == (3, {"0": "passed", "1": "skipped", "2": "skipped"})
    assert "can't connect to" in done.stderr
    assert "mcprun batch --resume" in done.stderr
    assert "The connection to the server was lost; reconnecting" in done.stderr


@pytest.mark.parametrize("tool", ["big", "big-sse"])
@pytest.mark.parametrize("is_allowed", [True, False])
def test_big_results_over_http(mcprun: Forks, tmp_path: Path, tool: str, is_allowed: bool) -> None:
    """Results above 1 MB, the SDK's limit for events, are accepted.

    Above `--max-result-bytes`, the model gets the reason.
    """
    flags = () if is_allowed else ("--max-result-bytes", "2000000")
    with run_http_server("big") as port:
        done = run_over_http(mcprun, tmp_path, port, tool, "ok", flags=flags, bytes=3_000_000)
    assert done.verdicts == {"0": "passed" if is_allowed else "failed", "1": "passed"}
    if is_allowed:
        assert len(first_result_texts(done)[0]) == 3_000_000
    else:
        assert "2,000,000 bytes" in first_result_texts(done)[0] or "2000000 byte limit" in first_result_texts(done)[0]


def test_unanswered_session_end_is_logged_and_ignored(mcprun: Forks, tmp_path: Path) -> None:
    """The request that ends a session may delay the run for two seconds, not for ten."""
    with run_http_server("never-deletes") as port:
        done = run_over_http(mcprun, tmp_path, port, "ok")
    assert done.code == 0
    warnings = [event for event in done.trace if event["event"] == "sdk_log"]
    assert [event["message"].split(":")[0] for event in warnings] == ["Session termination failed"]


def test_compressed_response_is_refused(mcprun: Forks, tmp_path: Path) -> None:
    """A kilobyte may expand to a gigabyte: mcprun requests no compression and does not decompress."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.accepted.add(self.headers["accept-encoding"])
            method, result = request["method"], {"content": [{"type": "text", "text": "x" * 5_000_000}]}
            if method == "initialize":
                info = {"name": "zip", "version": "0"}
                version = request["params"]["protocolVersion"]
                result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}  # type: ignore[dict-item]
            elif method == "tools/list":
                result = {"tools": [{"name": "ok", "inputSchema": {"type": "object"}}]}  # type: ignore[dict-item]
            known = method in ("initialize", "tools/list", "tools/call")
            answer = {"result": result} if known else {"error": {"code": -32601, "message": "no"}}
            body = json.dumps({"jsonrpc": "2.0", "id": request.get("id"), **answer}).encode()
            self.send_response(200 if "id" in request else 202)
            if method == "tools/call":
                body = gzip.compress(body)
                self.send_header("content-encoding", "gzip")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Log nothing."""

        accepted: ClassVar[set[str]] = set()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = run_over_http(mcprun, tmp_path, server.server_port, "ok")
        server.shutdown()
    assert (done.code, Handler.accepted) == (1, {"identity"})
    assert (
        first_result_texts(done)[0]
        == "HTTP 200 OK, but the response is compressed (gzip), which mcprun does not accept"
    )


def test_nan_and_infinity_are_recorded_as_text(mcprun: Forks, tmp_path: Path) -> None:
    """NaN and Infinity are accepted, equal neither null nor anything else, and cause one warning per tool."""
    calls = ("infinite", "nan", "nan")
    queries = [script((tool, {}), id=f"{number}") for number, tool in enumerate(calls)]
    queries[2]["expect"] = {"calls": [{"tool": "nan", "result": {"n": None}}]}
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = mcprun.run("batch", "p.jsonl", HOSTILE, "--", "numbers", cwd=tmp_path)
    assert (done.code, done.verdicts) == (1, {"0": "passed", "1": "passed", "2": "failed"})
    assert [transcript["calls"][0]["structured"] for transcript in done.transcripts] == [
        {"n": "Infinity"},
        {"n": "NaN"},
        {"n": "NaN"},
    ]
    warnings = [line for line in done.stderr.splitlines() if "which is not valid JSON" in line]
    assert sorted(line.split(" contains ")[0] for line in warnings) == [
        "Warning: the server's message (infinite)", "Warning: the server's message (nan)"
    ]  # fmt: skip
