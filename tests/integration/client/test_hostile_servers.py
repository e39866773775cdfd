"""Hostile servers: every flood and lie has a bound and a message, and other queries pass."""

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

MANY = 50_000_000


def against(
    mcprun: Forks, folder: Path, mode: str, *calls: tuple[str, dict[str, Any]], flags: tuple[str, ...] = ()
) -> Result:
    """Run a query for each call, one after the other, and last a query called `good`."""
    queries = [script(call) | {"id": f"{number}"} for number, call in enumerate(calls)]
    write_jsonl(folder / "p.jsonl", *queries, script(("ok", {}), id="good"))
    flags = ("--concurrency", "1", "--call-timeout", "20", *flags)
    done = mcprun.run("batch", "p.jsonl", HOSTILE, *flags, "--", mode, cwd=folder)
    assert "Traceback" not in done.stderr
    return done


def first_results(done: Result) -> list[str]:
    """Give the text of each query's first call."""
    return [one["calls"][0]["content"][0]["text"] for one in done.transcripts]


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
def test_what_is_odd_and_does_no_harm(
    mcprun: Forks, tmp_path: Path, mode: str, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    """It is taken as it is, and everything passes."""
    done = against(mcprun, tmp_path, mode, *calls)
    assert (done.code, set(done.verdicts.values()), len(done.verdicts)) == (0, {"passed"}, len(calls) + 1)


@pytest.mark.parametrize(
    ("mode", "call", "message"),
    [
        ("big", ("big", {"bytes": MANY}), r"No result of big: the answer has 50,000,\d+ bytes, and --max-result-bytes"),
        (
            "big-last",
            ("big", {"bytes": MANY}),
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
def test_what_can_not_be_taken_is_told_at_once(
    mcprun: Forks, tmp_path: Path, mode: str, call: tuple[str, dict[str, Any]], message: str
) -> None:
    """The model hears why, nobody waits for a time-out, and the session goes on."""
    done = against(mcprun, tmp_path, mode, call)
    assert (done.code, done.verdicts) == (1, {"0": "failed", "good": "passed"})
    assert re.match(message, first_results(done)[0])
    assert done.transcripts[0]["calls"][0]["is_error"]


def test_an_answer_to_another_request_is_a_time_out(mcprun: Forks, tmp_path: Path) -> None:
    """An id that no request of ours has had answers none; the answer is recorded, and warned about."""
    done = against(mcprun, tmp_path, "ids", ("wrong-id", {}), flags=("--call-timeout", "0.5"))
    assert (done.code, done.verdicts) == (1, {"0": "failed", "good": "passed"})
    assert first_results(done)[0] == "No answer from wrong-id within 0.5 s."
    warning = "the server sent a result whose id (987654321) matches no request while one request was pending"
    assert warning in done.stderr
    assert [warning] == [event["text"][: len(warning)] for event in done.trace if event["event"] == "stray_answer"]


def test_an_answer_without_an_id_is_for_the_only_request(mcprun: Forks, tmp_path: Path) -> None:
    """The result is used; since other clients would wait for it in vain, there is a warning."""
    done = against(mcprun, tmp_path, "ids", ("null-id", {}), flags=("--call-timeout", "5"))
    assert (done.code, done.verdicts) == (0, {"0": "passed", "good": "passed"})
    assert "the server sent a result without an id while one request was pending" in done.stderr


def test_a_big_result_is_taken_when_it_is_allowed(mcprun: Forks, tmp_path: Path) -> None:
    """`--max-result-bytes` raises the bound."""
    flags = ("--max-result-bytes", "60000000")
    done = against(mcprun, tmp_path, "big", ("big", {"bytes": MANY}), flags=flags)
    assert (done.code, len(first_results(done)[0])) == (0, MANY)


def test_a_big_notification_is_left_out(mcprun: Forks, tmp_path: Path) -> None:
    """It is nobody's answer: it is warned of, and the answer behind it counts."""
    done = against(mcprun, tmp_path, "big-notification", ("big", {"bytes": MANY}))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert re.search(r"the message has 50,000,\d+ bytes, and --max-result-bytes allows 10,485,760", done.stderr)


def test_a_line_without_an_end(mcprun: Forks, tmp_path: Path) -> None:
    """A server that never ends its line is ended, its query is an error that says so, and the next one passes."""
    done = against(mcprun, tmp_path, "flood-open", ("flood", {}), flags=("--max-result-bytes", "1000000"))
    assert (done.code, done.verdicts) == (3, {"0": "error", "good": "passed"})
    error = done.transcripts[0]["error"]
    assert error["kind"] == "server_died"
    assert re.search(r"\[the server wrote 2\d,\d{3},\d{3} bytes to stdout without a newline\]", error["message"])


def test_garbage_on_stdout_has_a_bound(mcprun: Forks, tmp_path: Path) -> None:
    """It is warned of once, the trace holds the first lines of it, and every query passes."""
    done = against(mcprun, tmp_path, "flood-lines", *(("ok", {}) for _ in range(5)))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert done.stderr.count("Warning: the server wrote non-protocol output to stdout") == 1
    noise = [event for event in done.trace if event["event"] == "noise"]
    assert len(noise) == 100
    assert noise[0]["text"].startswith("[garbage] this is no message")


def test_five_hundred_tools(mcprun: Forks, tmp_path: Path) -> None:
    """They are all there, also for a server that is started anew for each query."""
    done = against(mcprun, tmp_path, "many", ("tool-000", {}), ("tool-499", {}), flags=("--fresh-server",))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert len(done.record["server"]["tools"]) == 501


def test_a_server_that_drips(mcprun: Forks, tmp_path: Path) -> None:
    """An answer that comes byte by byte is a time-out."""
    done = against(mcprun, tmp_path, "slow-drip", ("drip", {}), flags=("--call-timeout", "0.5"))
    assert done.verdicts["0"] == "failed"
    assert first_results(done)[0] == "No answer from drip within 0.5 s."


def test_a_server_that_closes_its_stdout(mcprun: Forks, tmp_path: Path) -> None:
    """It lives on, and is of no use: it is started again."""
    done = against(mcprun, tmp_path, "closes-stdout", ("close", {}))
    assert (done.code, done.verdicts) == (3, {"0": "error", "good": "passed"})
    assert done.transcripts[0]["error"]["kind"] == "server_died"


def test_a_server_that_does_not_end(mcprun: Forks, tmp_path: Path) -> None:
    """One that heeds neither stdin's end nor SIGTERM is killed, and the run has its exit code."""
    assert against(mcprun, tmp_path, "ignores-eof").code == 0


def test_escapes_of_a_server_do_not_reach_the_terminal(mcprun: Forks, tmp_path: Path) -> None:
    """Results, errors, last words and names show as text, in the run, in `show` and in one conversation."""
    calls: list[tuple[str, dict[str, Any]]] = [
        (name, {}) for name in ("escapes", "error-escapes", "refused-escapes", "dies-escapes")
    ]
    done = against(mcprun, tmp_path, "escapes", *calls)
    assert list(done.verdicts.values()) == ["passed", "failed", "failed", "error", "passed"]
    shown = [mcprun.run("show", "latest", *query, cwd=tmp_path) for query in ([], ["0"], ["1"], ["2"], ["3"])]
    for result in (done, *shown):
        for character in set(result.stdout + result.stderr) - set("\n\t"):
            assert unicodedata.category(character) not in {"Cc", "Cf"}
    assert r"before\x1b[2J" in shown[1].stdout


def test_stderr_has_a_bound(tmp_path: Path) -> None:
    """`server.log` takes no more than its bound, and says that it was cut off; what was said last is still known."""
    log = ServerLog(tmp_path / "server.log", Redactor(), 100)
    words = [log.write(f"line {number}\n") for number in range(50)]
    assert words[-1] == "line 49\n"
    text = (tmp_path / "server.log").read_text()
    assert text.startswith("line 0\n")
    assert text.endswith("[server.log reached its size limit; further output is not recorded]\n")
    assert len(text) < 200


# Over HTTP. ----------------------------------------------------------------------------------------------


@contextmanager
def serving(mode: str, port: int = 0) -> Iterator[int]:
    """Run the hostile server over HTTP; give its port."""
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


def over_http(mcprun: Forks, folder: Path, port: int, *tools: str, flags: tuple[str, ...] = (), **input: Any) -> Result:
    """Run a query for each tool, one after the other."""
    queries = [script((tool, input if tool.startswith("big") else {})) | {"id": f"{n}"} for n, tool in enumerate(tools)]
    write_jsonl(folder / "p.jsonl", *queries)
    flags = ("--concurrency", "1", *flags)
    return mcprun.run("batch", "p.jsonl", f"http://127.0.0.1:{port}/mcp", *flags, cwd=folder)


@pytest.mark.parametrize("mode", ["expires", "expires-null", "expires-bare"])
def test_sessions_that_expire(mcprun: Forks, tmp_path: Path, mode: str) -> None:
    """A session that the server no longer knows (404, whatever the body) is replaced, and no query fails or is repeated."""
    with serving(mode) as port:
        done = over_http(mcprun, tmp_path, port, *["ok"] * 10)
    assert (done.code, set(done.verdicts.values()), len(done.verdicts)) == (0, {"passed"}, 10)
    names = [event["event"] for event in done.trace]
    assert (names.count("server_start"), names.count("session_renewed"), names.count("server_restart")) == (1, 3, 0)
    assert {transcript["attempts"] for transcript in done.transcripts} == {1}


def test_connections_that_are_reset(mcprun: Forks, tmp_path: Path) -> None:
    """Each fifth call meets a reset; the queries are tried again and pass."""
    with serving("resets") as port:
        done = over_http(mcprun, tmp_path, port, *["ok"] * 12, flags=("--concurrency", "4"))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})


def test_a_server_that_goes_away_and_comes_back(mcprun: Forks, tmp_path: Path) -> None:
    """The query that ends it is an error, by name; when it is there again, the others pass."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = f"while true; do {sys.executable} {SERVERS / 'hostile_http.py'} goes-away {port}; done"
    keeper = subprocess.Popen(
        ["sh", "-c", command], env=clean_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert keeper.stdout
        assert keeper.stdout.readline().strip() == str(port)
        done = over_http(mcprun, tmp_path, port, "ok", "die", "ok", "ok")
    finally:
        send_signal(keeper.pid, KILL)
        keeper.communicate(timeout=30)
    assert (done.code, done.verdicts) == (3, {"0": "passed", "1": "error", "2": "passed", "3": "passed"})
    assert done.transcripts[1]["error"]["kind"] == "server_died"
    assert "The server died; restarting it" in done.stderr


def test_a_server_that_stays_away(mcprun: Forks, tmp_path: Path) -> None:
    """The restarts are spent on it, then the run ends with what is done, and says how to go on."""
    with serving("goes-away") as port:
        done = over_http(mcprun, tmp_path, port, "ok", "die", "ok", flags=("--restarts", "3"))
    assert (done.code, done.verdicts) == (3, {"0": "passed", "1": "skipped", "2": "skipped"})
    assert "can't connect to" in done.stderr
    assert "mcprun batch --resume" in done.stderr
    assert "The server died; restarting it" in done.stderr


@pytest.mark.parametrize("tool", ["big", "big-sse"])
@pytest.mark.parametrize("is_allowed", [True, False])
def test_big_results_over_http(mcprun: Forks, tmp_path: Path, tool: str, is_allowed: bool) -> None:
    """Above one megabyte, the SDK's own bound for events, they are taken; above ours the model hears why not."""
    flags = () if is_allowed else ("--max-result-bytes", "2000000")
    with serving("big") as port:
        done = over_http(mcprun, tmp_path, port, tool, "ok", flags=flags, bytes=3_000_000)
    assert done.verdicts == {"0": "passed" if is_allowed else "failed", "1": "passed"}
    if is_allowed:
        assert len(first_results(done)[0]) == 3_000_000
    else:
        assert "2,000,000 bytes" in first_results(done)[0] or "2000000 byte limit" in first_results(done)[0]


def test_a_session_whose_end_is_not_answered(mcprun: Forks, tmp_path: Path) -> None:
    """Ending a session is a courtesy, and holds the run up for two seconds, not for ten."""
    with serving("never-deletes") as port:
        done = over_http(mcprun, tmp_path, port, "ok")
    assert done.code == 0
    warned = [event for event in done.trace if event["event"] == "sdk_log"]
    assert [event["message"].split(":")[0] for event in warned] == ["Session termination failed"]


def test_a_compressed_answer_is_refused(mcprun: Forks, tmp_path: Path) -> None:
    """A kilobyte may unfold to a gigabyte: nobody asks for it, and it is not unfolded."""

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
            """Say nothing."""

        accepted: ClassVar[set[str]] = set()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = over_http(mcprun, tmp_path, server.server_port, "ok")
        server.shutdown()
    assert (done.code, Handler.accepted) == (1, {"identity"})
    assert first_results(done)[0] == "HTTP 200 OK, but the response is compressed (gzip), which mcprun does not accept"


def test_numbers_that_json_has_no_form_for_are_recorded_as_text(mcprun: Forks, tmp_path: Path) -> None:
    """They are read, equal neither null nor anything else, and warned of once for each tool."""
    calls = ("infinite", "nan", "nan")
    queries = [script((tool, {}), id=f"{at}") for at, tool in enumerate(calls)]
    queries[2]["expect"] = {"calls": [{"tool": "nan", "result": {"n": None}}]}
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = mcprun.run("batch", "p.jsonl", HOSTILE, "--", "numbers", cwd=tmp_path)
    assert (done.code, done.verdicts) == (1, {"0": "passed", "1": "passed", "2": "failed"})
    assert [one["calls"][0]["structured"] for one in done.transcripts] == [
        {"n": "Infinity"},
        {"n": "NaN"},
        {"n": "NaN"},
    ]
    warned = [line for line in done.stderr.splitlines() if "which is not valid JSON" in line]
    assert sorted(line.split(" contains ")[0] for line in warned) == [
        "Warning: the server's message (infinite)", "Warning: the server's message (nan)"
    ]  # fmt: skip
