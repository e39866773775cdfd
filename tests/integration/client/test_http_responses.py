"""A bad response, over HTTP or stdio, fails its own request and does not end the connection."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import SERVERS, Result, clean_environment, run_mcprun, script, write_jsonl

ERAS = ("sessions", "stateless", "modern")

SERVER = SERVERS / "answering_http.py"


@contextmanager
def run_server(*arguments: str) -> Iterator[str]:
    """Run the server, and yield its URL."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), *arguments], env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
    finally:
        process.kill()
        process.communicate(timeout=30)


def run_batch(folder: Path, url: str, *queries: dict[str, Any], flags: tuple[str, ...] = ()) -> Result:
    """Run queries called `q0`, `q1` and so on, with a time limit for calls."""
    prompts = write_jsonl(folder / "p.jsonl", *(query | {"id": f"q{n}"} for n, query in enumerate(queries)))
    return run_mcprun("batch", prompts, url, "--call-timeout", "30", *flags, cwd=folder)


def result_texts(done: Result, index: int = 0) -> dict[str, str]:
    """Return the text of each call's result, by tool."""
    return {call["tool"]: call["content"][0]["text"] for call in done.transcripts[index]["calls"]}


def problems_by_tool(done: Result) -> dict[str, str | None]:
    """Return the problem of each call, by tool."""
    return {event["tool"]: event.get("problem") for event in done.trace if event["event"] == "tool_call"}


def events_named(done: Result, name: str) -> list[dict[str, Any]]:
    """Return the trace events with this name."""
    return [event for event in done.trace if event["event"] == name]


def request_counts(done: Result, index: int = 0) -> dict[str, int]:
    """Return the number of requests by method, as the tool `counts` reports it."""
    return dict(json.loads(result_texts(done, index)["counts"]))


JSON = "expected application/json or text/event-stream"

UNUSABLE = {
    "empty-200": "HTTP 200 OK, but the response is empty",
    "html-200": f"HTTP 200 OK, but the response is text/html, {JSON}: 502 Bad Gateway nginx & co",
    "array": "HTTP 200 OK, but the response cannot be read (",
    "two": "HTTP 200 OK, but the response cannot be read (",
    "a-notification": "HTTP 200 OK, but the response holds notifications/message, which is not an answer",
    "half": '): {"jsonrpc": "2.0", "id": null, "result": ',
    "words": "): we are closed",
    "deep": "HTTP 200 OK, but the response cannot be read (it is nested more than 200 deep)",
    "zipped": "HTTP 200 OK, but the response is compressed (gzip), which mcprun does not accept",
    "zip-garbage": "HTTP 200 OK, but the response is compressed (gzip), which mcprun does not accept",
    "cut-length": "HTTP 200 OK, but the response was cut off after 40 bytes (",
    "cut-chunk": "HTTP 200 OK, but the response was cut off after 40 bytes (",
    "bad-chunk": "HTTP 200 OK, but the response was cut off after 0 bytes (",
    "other-id": "HTTP 200 OK, but the response cannot be read (it has the id of another request)",
    "events-end": "HTTP 200 OK, but the stream ended without the answer",
    "resumes-never": "HTTP 200 OK, but the stream ended without the answer",
    "events-none": "HTTP 200 OK, but the stream ended without the answer",
    "events-bad": "HTTP 200 OK, but an event cannot be read (it is not JSON): we are closed",
}  # fmt: skip
"""Parts of the results of calls whose response has a success status but cannot be used."""

REFUSED = {
    **{f"http-{status}": f" {status} " for status in (400, 401, 403, 405, 408, 409, 413, 418, 422, 429, 500, 503, 504)},
    "http-401": "HTTP 401 Unauthorized: it wants authorization (401): log in once (mcprun login ",
    "http-403": "HTTP 403 Forbidden: it forbids the request (403): the words of 403",
    "http-418": "HTTP 418 I'm a Teapot: the words of 418",
    "http-500": "HTTP 500 Internal Server Error: the words of 500",
    "bare-500": "HTTP 500 Internal Server Error",
    "html-502": "HTTP 502 Bad Gateway: 502 Bad Gateway nginx & co",
    "json-500": "HTTP 500 Internal Server Error: database is down",
    "plain-json-500": 'HTTP 500 Internal Server Error: {"shard": 7}',
    "problem-500": "HTTP 500 Internal Server Error: Oh no: disk full",
    "rpc-500": "HTTP 500 Internal Server Error: database is down",
    "rpc-data-500": 'HTTP 500 Internal Server Error: database is down (data: {"shard": 7})',
    "rpc-text-500": "HTTP 500 Internal Server Error: out of cheese",
    "rpc-empty-422": f"HTTP 422 {HTTPStatus(422).phrase}: an error without a message (-32603)",
    "binary-500": "HTTP 500 Internal Server Error: image/png, 6 bytes",
    "cut-500": "HTTP 500 Oh: half of the reason",
    "redirect": "HTTP 302 Found, but the redirect to http://127.0.0.1:9/login is not followed",
    "elsewhere": "HTTP 307 Temporary Redirect, but the redirect to http://127.0.0.2:9/mcp is not followed",
    "http-202": "HTTP 202 Accepted, but the response is empty",
    "http-204": "HTTP 204 No Content, but the response is empty",
}
"""Parts of the results of calls whose response has another status or no body."""

JSON_RPC_ERRORS = {
    "closed": ("json-rpc error -32000", "Connection closed"),
    "resumes-error": ("json-rpc error -32000", "Connection closed"),
    "closed-event": ("json-rpc error -32000", "Connection closed"),
    "broken": ("json-rpc error -32603", "Server returned an error response"),
    "ended": ("json-rpc error -32600", "Session terminated"),
    "null-id": ("json-rpc error -32603", "database is down"),
    "no-id": ("json-rpc error 1", "database is down"),
    "error-text": ("json-rpc error", "out of cheese"),
    "error-data": ("json-rpc error -32603", 'Internal error (data: {"id": 7})'),
}
"""The problem and the text of calls whose response is a JSON-RPC error."""

GOOD = {
    "ok": "fine", "id-text": "fine", "id-null": "fine", "id-object": "fine", "id-float": "fine", "events": "fine", "events-id": "fine",
    "typed": "fine", "resumes": "fine", "broken-utf8": "fi\ufffdne", "surrogate": "fi\ufffdne", "waits": "fine",
}  # fmt: skip
"""The texts of valid results, some of them sent in an unusual way."""


@pytest.mark.parametrize("era", ERAS)
def test_every_response_to_a_call_is_the_result_of_that_call(tmp_path: Path, era: str) -> None:
    """A bad response fails its call with the server's message, and the other calls of the turn return their results.

    Each call is sent once.
    """
    all_calls: list[tuple[str, dict[str, Any]]] = [
        (name, {}) for name in (*UNUSABLE, *REFUSED, *JSON_RPC_ERRORS, *GOOD, "rpc-400")
    ]
    with run_server(era) as url:
        done = run_batch(tmp_path, url, script(*all_calls), script(("counts", {})), flags=("--concurrency", "1"))
    texts, problem = result_texts(done), problems_by_tool(done)
    assert {name: text for name, text in UNUSABLE.items() if text not in texts[name]} == {}
    assert {name: text for name, text in REFUSED.items() if text not in texts[name]} == {}
    assert {name: problem[name] for name in UNUSABLE} == dict.fromkeys(UNUSABLE, "invalid answer")
    statuses = {name: f"http {texts[name].split()[1].strip(',')}" for name in REFUSED}
    assert {name: problem[name] for name in REFUSED} == statuses
    assert {name: (problem[name], texts[name]) for name in JSON_RPC_ERRORS} == JSON_RPC_ERRORS
    assert {name: texts[name] for name in GOOD} == GOOD
    is_prescribed = era == "modern"
    assert (problem["rpc-400"], texts["rpc-400"]) == (
        ("json-rpc error -32602", "no such city")
        if is_prescribed
        else ("http 400", "HTTP 400 Bad Request: no such city")
    )
    errors = {event["tool"]: event["error"] for event in events_named(done, "tool_call") if event.get("error")}
    assert errors == {
        name: texts[name].split(": ", 1)[-1] if name.startswith("rpc-") else texts[name] for name in errors
    }
    assert errors.keys() == {*JSON_RPC_ERRORS, "rpc-400", "rpc-500", "rpc-data-500", "rpc-text-500", "rpc-empty-422"}
    surrogate_warnings = [event for event in events_named(done, "warning") if "lone surrogate" in event["message"]]
    assert len(surrogate_warnings) == 1
    assert done.verdicts == {"q0": "failed", "q1": "passed"}
    calls = {
        name.split(" ", 1)[1]: count
        for name, count in request_counts(done, 1).items()
        if name.startswith("tools/call ")
    }
    assert calls == dict.fromkeys([name for name, _ in all_calls] + ["counts"], 1)
    assert events_named(done, "server_restart") == events_named(done, "session_renewed") == []
    assert [event.get("died") for event in events_named(done, "server_exit")] == [False]


@pytest.mark.parametrize("era", ERAS)
def test_refused_prompt_or_resource_is_the_error_of_its_query(tmp_path: Path, era: str) -> None:
    """The error has the server's message, and the other queries are unaffected."""
    with run_server(era) as url:
        done = run_batch(
            tmp_path,
            url,
            {"server_prompt": "html-502", "script": [{"text": "Done."}]},
            {"resources": ["a://cut-length"], "prompt": "Go.", "script": [{"text": "Done."}]},
            {"server_prompt": "closed", "script": [{"text": "Done."}]},
            {"resources": ["a://null-id"], "prompt": "Go.", "script": [{"text": "Done."}]},
            {"server_prompt": "good", "resources": ["a://good"], "script": [{"text": "Done."}]},
            script(("ok", {}), ("counts", {})),
        )
    assert list(done.verdicts.values()) == ["error"] * 4 + ["passed"] * 2
    expected = [
        "HTTP 502 Bad Gateway: 502 Bad Gateway nginx & co",
        "HTTP 200 OK, but the response was cut off after 40 bytes",
        "Connection closed",
        "database is down",
    ]
    messages = [transcript["error"]["message"] for transcript in done.transcripts[:4]]
    assert [part in message for part, message in zip(expected, messages, strict=True)] == [True] * 4
    requests = [*events_named(done, "prompt_get"), *events_named(done, "resource_read")]
    problems = {event.get("prompt") or event["uri"]: event.get("problem") for event in requests}
    assert problems == {
        "html-502": "http 502",
        "a://cut-length": "invalid answer",
        "closed": "json-rpc error -32000",
        "a://null-id": "json-rpc error -32603",
        "good": None,
        "a://good": None,
    }
    assert events_named(done, "server_restart") == []


@pytest.mark.parametrize("flags", [("--servers", "2"), ("--fresh-server",), ("--concurrency", "1")])
def test_refused_call_does_not_affect_other_queries(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """However queries share servers, each call is sent once, no server is restarted, and the valid calls pass."""
    queries = [script((name, {})) for name in ("http-500", "ok", "cut-chunk", "ok", "events-none", "ok") * 3]
    with run_server("sessions") as url:
        done = run_batch(tmp_path, url, *queries, flags=(*flags, "--restarts", "0"))
        count = request_counts(run_batch(tmp_path, url, script(("counts", {}))))
    assert list(done.verdicts.values()) == ["failed", "passed"] * 9
    assert [count[f"tools/call {name}"] for name in ("http-500", "ok", "cut-chunk", "events-none")] == [3, 9, 3, 3]
    assert [transcript["attempts"] for transcript in done.transcripts] == [1] * 18


def test_only_read_only_and_idempotent_tools_are_retried(tmp_path: Path) -> None:
    """After 429 or 503, such a tool is called once more after `retry-after`, if that is short enough."""
    calls = {
        "reading": {},
        "repeatable": {"status": 503},
        "writing": {},
    }
    serial = ("--concurrency", "1")
    waits = (
        {"times": 9},
        {"times": 9, "after": 3600},
        {"times": 9, "after": 25, "status": 503},
        {"times": 9, "after": "x"},
    )
    with run_server("sessions") as url:
        done = run_batch(tmp_path, url, script(*calls.items()), script(("counts", {})), flags=serial)
        later_counts = [
            request_counts(
                run_batch(
                    tmp_path,
                    url,
                    script(("reading", wait)),
                    script(("counts", {})),
                    flags=(*serial, "--call-timeout", "20"),
                ),
                1,
            )
            for wait in waits
        ]
        not_retried = run_batch(tmp_path, url, script(("reading", waits[0])))
    assert result_texts(done) == {
        "reading": "fine",
        "repeatable": "fine",
        "writing": "HTTP 429 Too Many Requests: too busy",
    }
    count = request_counts(done, 1)
    assert [count[f"tools/call {name}"] for name in calls] == [2, 2, 1]
    retried = {
        (event["tool"], event["call"], event["problem"], event["wait"]) for event in events_named(done, "call_retry")
    }
    assert retried == {("reading", 0, "http 429", 0.0), ("repeatable", 1, "http 503", 0.0)}
    assert [count["tools/call reading"] for count in later_counts] == [4, 5, 6, 7]
    assert problems_by_tool(not_retried) == {"reading": "http 429"}


def test_wait_before_a_retry_does_not_count_against_the_query(tmp_path: Path) -> None:
    """The server asks for a wait of one second, which `max_seconds` and the query's deadline do not count."""
    with run_server("sessions") as url:
        done = run_batch(tmp_path, url, script(("reading", {"after": 1})))
    assert [event["wait"] for event in events_named(done, "call_retry")] == [1.0]
    assert [event["waited"] >= 1 for event in events_named(done, "attempt_end")] == [True]


@pytest.mark.parametrize("status", [404, 400, 503])
def test_lost_session_is_renewed_once_for_all_requests(tmp_path: Path, status: int) -> None:
    """Calls, prompts and resources refused with the lost session are sent once more in one new session."""
    forget = {"calls": [{"tool": "forget", "input": {"status": status}}]}
    six = {"calls": [{"tool": "ok", "input": {}}] * 6}
    counts = {"calls": [{"tool": "counts", "input": {}}]}
    with run_server("sessions") as url:
        done = run_batch(
            tmp_path,
            url,
            {"prompt": "Go.", "script": [forget, six, counts, {"text": "Done."}]},
            {"prompt": "Go.", "script": [forget, {"text": "Done."}]},
            {"server_prompt": "good", "script": [{"text": "Done."}]},
            {"prompt": "Go.", "script": [forget, {"text": "Done."}]},
            {"resources": ["a://good"], "prompt": "Go.", "script": [forget, {"text": "Done."}]},
            {"prompt": "Go.", "script": [counts, {"text": "Done."}]},
            flags=("--concurrency", "1", "--restarts", "0"),
        )
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    assert [(event["server"], event["status"]) for event in events_named(done, "session_renewed")] == [(1, status)] * 4
    first, last = request_counts(done), request_counts(done, 5)
    assert (first["initialize"], first["notifications/initialized"], first.get("ping", 0)) == (
        2,
        2,
        6 * (status != 404),
    )
    assert 6 < first["tools/call ok"] <= 12
    assert (last["initialize"], last["prompts/get good"], last["resources/read good"]) == (5, 2, 2)
    assert last["tools/list"] == 9  # two pages at first and after three of the renewals, and one page that was repeated
    assert len(events_named(done, "server_start")) == 1


def test_queries_share_a_new_session(tmp_path: Path) -> None:
    """Queries in flight continue in the new session, and none needs another attempt."""
    queries = [script(("forget", {}) if n == 4 else ("ok", {})) for n in range(24)]
    with run_server("sessions") as url:
        done = run_batch(tmp_path, url, *queries, flags=("--concurrency", "8", "--restarts", "0"))
        count = request_counts(run_batch(tmp_path, url, script(("counts", {}))))
    assert (set(done.verdicts.values()), {transcript["attempts"] for transcript in done.transcripts}) == (
        {"passed"},
        {1},
    )
    assert (count["initialize"], len(events_named(done, "session_renewed"))) == (3, 1)


def test_call_refused_in_a_new_session_too_is_an_error(tmp_path: Path) -> None:
    """The call is sent twice, and its query is an error rather than a failure.

    The new session serves the other queries.
    """
    with run_server("sessions") as url:
        done = run_batch(
            tmp_path, url, script(("never", {})), script(("ok", {}), ("counts", {})), flags=("--concurrency", "1")
        )
    assert done.verdicts == {"q0": "error", "q1": "passed"}
    assert done.transcripts[0]["error"] == {
        "kind": "session_lost",
        "message": "the server refused never in a new session too: HTTP 404 Not Found: never heard of it",
    }
    count = request_counts(done, 1)
    assert (done.code, count["tools/call never"], count["initialize"]) == (3, 2, 2)


@pytest.mark.parametrize("era", ["stateless", "modern"])
def test_404_without_a_session_fails_only_its_call(tmp_path: Path, era: str) -> None:
    """Without sessions, a 404 is handled as any other status, without a ping."""
    with run_server(era) as url:
        done = run_batch(tmp_path, url, script(("never", {})), script(("counts", {})), flags=("--concurrency", "1"))
    assert (result_texts(done), problems_by_tool(done)["never"]) == (
        {"never": "HTTP 404 Not Found: never heard of it"},
        "http 404",
    )
    count = request_counts(done, 1)
    assert (count["tools/call never"], count.get("initialize", 0), count.get("ping")) == (1, era == "stateless", None)


def test_server_that_opens_no_new_session_counts_as_dead(tmp_path: Path) -> None:
    """The restarts are used up, and the attempt's error gives the reason."""
    forget = ("forget", {"for_ever": True, "status": 400})
    with run_server("sessions") as url:
        done = run_batch(
            tmp_path, url, script(forget), script(("ok", {})), script(("ok", {})),
            flags=("--concurrency", "1", "--restarts", "1"),
        )  # fmt: skip
    assert (done.code, list(done.verdicts.values())) == (3, ["passed", "skipped", "skipped"])
    reason = (
        "the server lost the session (HTTP 400) and opened no new one: HTTP 503 Service Unavailable: no sessions today"
    )
    assert reason in events_named(done, "attempt_end")[1]["error"]
    assert "refused the connection: HTTP 503 Service Unavailable: no sessions today" in done.stderr


def test_connection_reset_counts_as_a_dead_server(tmp_path: Path) -> None:
    """The query is retried as after any server's death, and its error gives the reason."""
    with run_server("sessions") as url:
        done = run_batch(tmp_path, url, script(("resets", {})), script(("ok", {})), flags=("--concurrency", "1"))
    assert done.verdicts == {"q0": "error", "q1": "passed"}
    error = done.transcripts[0]["error"]
    assert (
        error["kind"],
        error["message"].startswith("the connection to the server was lost during resets: ReadError"),
    ) == (
        "server_died",
        True,
    )
    assert done.transcripts[0]["attempts"] == 3


@pytest.mark.parametrize(
    ("era", "flaw", "expected"),
    [
        ("sessions", "initialize", "refused the connection: HTTP 500 Internal Server Error: the words of 500 ("),
        ("sessions", "initialize=cut-length", "refused the connection: HTTP 200 OK, but the response was cut off after 40 bytes ("),
        ("stateless", "initialize=html-200", f"refused the connection: HTTP 200 OK, but the response is text/html, {JSON}: 502"),
        ("sessions", "tools/list=page-2", "refused the connection: HTTP 500 Internal Server Error: the words of 500 ("),
        ("modern", "tools/list=cut-chunk", "refused the connection: HTTP 200 OK, but the response was cut off after 40 bytes ("),
        ("stateless", "tools/list=null-id", "refused the connection: database is down ("),
        ("sessions", "tools/list=empty-200", "refused the connection: HTTP 200 OK, but the response is empty ("),
    ],
)  # fmt: skip
def test_failure_to_connect_reports_the_servers_message(tmp_path: Path, era: str, flaw: str, expected: str) -> None:
    """A failure of the handshake, or of any page of the list of tools, is reported with the server's message."""
    with run_server(era, flaw) as url:
        done = run_mcprun("tools", url, "--connect-timeout", "20", cwd=tmp_path)
    assert (done.code, expected in done.stderr, "Traceback" in done.stderr) == (3, True, False)


def test_refused_notifications_and_responses_cause_a_warning(tmp_path: Path) -> None:
    """The run goes on. A warning reports the refusal, since no request is waiting for it."""
    with run_server("sessions", "notifications/initialized") as url:
        done = run_batch(tmp_path, url, script(("ok", {})))
    assert done.code == 0
    warning = "the server refused notifications/initialized: HTTP 500 Internal Server Error: the words of 500"
    assert warning in [event["message"] for event in events_named(done, "warning")]
    with run_server("sessions", "response") as url:
        done = run_batch(tmp_path, url, script(("asks", {}), ("ok", {})), flags=("--elicit", "decline"))
    assert done.code == 0
    warning = "the server refused a response to its request: HTTP 500 Internal Server Error: the words of 500"
    assert warning in [event["message"] for event in events_named(done, "warning")]


def test_transcripts_do_not_depend_on_the_order_of_requests(tmp_path: Path) -> None:
    """The `id` of a request is left out where a response body is quoted."""
    names = ("array", "other-id", "error-text", "events-bad", "rpc-500", "two")
    with run_server("sessions") as url:
        done = [run_batch(tmp_path, url, *(script((name, {})) for name in order)) for order in (names, names[::-1])]
    first, second = ({result_texts(run, index).popitem() for index in range(len(names))} for run in done)
    assert first == second


def test_repeated_refusal_is_not_a_divergence(tmp_path: Path) -> None:
    """A replay that is refused in the same way has no divergence, and `diff` finds no difference."""
    with run_server("sessions") as url:
        recorded = run_batch(tmp_path, url, script(("http-500", {}), ("half", {}), ("ok", {})))
        replayed = run_mcprun("batch", "p.jsonl", url, "--model", f"replay:{recorded.run}", cwd=tmp_path)
    assert [call.get("diverged", False) for call in replayed.transcripts[0]["calls"]] == [False] * 3
    assert run_mcprun("diff", recorded.run, replayed.run, cwd=tmp_path).code == 0


def test_message_refused_over_sse_fails_only_its_call(tmp_path: Path) -> None:
    """The event stream and the concurrent calls go on. Results have the same limit as over other transports."""
    statuses = {
        name: text
        for name, text in REFUSED.items()
        if name.startswith(("http-4", "http-5", "html-", "json-", "rpc-", "cut-5"))
    }
    with run_server("sse") as url:
        calls: list[tuple[str, dict[str, Any]]] = [
            (name, {}) for name in (*statuses, "ok", "waits", "closed", "redirect")
        ]
        bounds = ("--max-result-bytes", "3000000", "--restarts", "0")
        done = run_batch(
            tmp_path, url, script(*calls, ("big", {"bytes": 2_000_000})), script(("big", {"bytes": 3_000_000})),
            script(("counts", {})), flags=(*bounds, "--concurrency", "1"),
        )  # fmt: skip
    texts, problem = result_texts(done), problems_by_tool(done)
    assert {name: text for name, text in statuses.items() if text not in texts[name]} == {}
    assert {problem[name] for name in statuses} == {f"http {texts[name].split()[1]}" for name in statuses}
    assert (texts["ok"], texts["waits"], len(texts["big"])) == ("fine", "fine", 2_000_000)
    assert (texts["closed"], problem["closed"], problem["redirect"]) == (
        "Connection closed",
        "json-rpc error -32000",
        "http 302",
    )
    assert "bytes, and --max-result-bytes allows 3,000,000" in result_texts(done, 1)["big"]
    assert done.verdicts == {"q0": "failed", "q1": "failed", "q2": "passed"}
    count = request_counts(done, 2)
    assert {count[f"tools/call {name}"] for name, _ in calls} == {1}
    assert events_named(done, "server_restart") == []


def test_lost_sse_session_counts_as_a_lost_connection(tmp_path: Path) -> None:
    """The query is retried in a new session. A ping distinguishes a lost session from a refused call."""
    with run_server("sse") as url:
        done = run_batch(
            tmp_path, url, script(("never", {})), script(("ok", {}), ("counts", {})), flags=("--concurrency", "1")
        )
    assert done.verdicts == {"q0": "error", "q1": "passed"}
    message = "the connection to the server was lost during never: the server lost the session: HTTP 404 Not Found: never heard of it"
    assert done.transcripts[0]["error"] == {"kind": "server_died", "message": message}


def test_sse_server_that_refuses_the_probe_is_legacy(tmp_path: Path) -> None:
    """A 404 to the probe cannot mean a lost session, since there is no session yet."""
    with run_server("sse", "server/discover=bare-404") as url:
        file = tmp_path / "servers.json"
        file.write_text(json.dumps({"mcpServers": {"old": {"type": "sse", "url": url}}}))
        done = run_batch(tmp_path, str(file), script(("ok", {})), flags=("--concurrency", "1", "--restarts", "0"))
    assert (done.code, done.verdicts) == (0, {"q0": "passed"})
    assert events_named(done, "warning") == []


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_json_rpc_error_worded_like_a_lost_connection_fails_only_its_request(tmp_path: Path, era: str) -> None:
    """The SDK uses the same messages for lost connections. A server that sends them is still running."""
    server, names = str(SERVERS / "connection_errors.py"), ("closed", "broken", "ended")
    done = run_batch(
        tmp_path,
        server,
        script(*((name, {}) for name in names), ("ok", {})),
        {"server_prompt": "closed", "script": [{"text": "Done."}]},
        {"resources": ["a://broken"], "prompt": "Go.", "script": [{"text": "Done."}]},
        script(("exits", {})),
        flags=("--concurrency", "1", "--restarts", "0", "--", era),
    )
    assert list(done.verdicts.values()) == ["failed", "error", "error", "failed"]
    message = {name: JSON_RPC_ERRORS[name] for name in names} | {
        "ok": (None, "fine"),
        "exits": ("json-rpc error -32000", "out of memory"),
    }
    texts = result_texts(done) | result_texts(done, 3)
    assert {name: (problem, texts[name]) for name, problem in problems_by_tool(done).items()} == message
    errors = [transcript["error"] for transcript in done.transcripts[1:3]]
    assert [(error["kind"], "Connection closed" in error["message"]) for error in errors] == [
        ("prompts", True),
        ("prompts", False),
    ]
    assert events_named(done, "server_restart") == []


@pytest.mark.parametrize(
    ("era", "method"), [("legacy", "initialize"), ("legacy", "tools/list"), ("modern", "tools/list")]
)
def test_refusal_to_connect_is_not_reported_as_an_exit(tmp_path: Path, era: str, method: str) -> None:
    """The error is reported as the server's own, even if its message is that of a closed connection."""
    done = run_mcprun("tools", str(SERVERS / "connection_errors.py"), "--", era, method, cwd=tmp_path)
    assert (done.code, "Error: the server refused the connection: Connection closed (" in done.stderr) == (3, True)
