"""A server's answer, over HTTP or stdio, never ends the connection."""

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
def answering(*arguments: str) -> Iterator[str]:
    """Run the server; give its URL."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), *arguments], env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
    finally:
        process.kill()
        process.communicate(timeout=30)


def batch(folder: Path, url: str, *queries: dict[str, Any], flags: tuple[str, ...] = ()) -> Result:
    """Run queries with bounded calls."""
    prompts = write_jsonl(folder / "p.jsonl", *(query | {"id": f"q{n}"} for n, query in enumerate(queries)))
    return run_mcprun("batch", prompts, url, "--call-timeout", "30", *flags, cwd=folder)


def texts(done: Result, place: int = 0) -> dict[str, str]:
    """Give the text of each call's result, by tool."""
    return {call["tool"]: call["content"][0]["text"] for call in done.transcripts[place]["calls"]}


def problems(done: Result) -> dict[str, str | None]:
    """Give the problem of each call, by tool."""
    return {event["tool"]: event.get("problem") for event in done.trace if event["event"] == "tool_call"}


def named(done: Result, name: str) -> list[dict[str, Any]]:
    """Give the events of a name."""
    return [event for event in done.trace if event["event"] == name]


def counted(done: Result, place: int = 0) -> dict[str, int]:
    """Give what the tool `counts` told."""
    return dict(json.loads(texts(done, place)["counts"]))


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
"""What stands in the results of calls that were answered with a good status."""

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
"""What stands in the results of calls that were answered with another one."""

MESSAGES = {
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
"""JSON-RPC errors, whatever they say."""

GOOD = {
    "ok": "fine", "id-text": "fine", "id-null": "fine", "id-object": "fine", "id-float": "fine", "events": "fine", "events-id": "fine",
    "typed": "fine", "resumes": "fine", "broken-utf8": "fi\ufffdne", "surrogate": "fi\ufffdne", "waits": "fine",
}  # fmt: skip
"""Results, some of them in an odd way."""


@pytest.mark.parametrize("era", ERAS)
def test_every_response_to_a_call_is_that_calls_answer(tmp_path: Path, era: str) -> None:
    """All in one turn: each call is sent once and gets the server's words at once, the others get their results."""
    first: list[tuple[str, dict[str, Any]]] = [
        (name, {}) for name in (*UNUSABLE, *REFUSED, *MESSAGES, *GOOD, "rpc-400")
    ]
    with answering(era) as url:
        done = batch(tmp_path, url, script(*first), script(("counts", {})), flags=("--concurrency", "1"))
    texts_, problem = texts(done), problems(done)
    assert {name: text for name, text in UNUSABLE.items() if text not in texts_[name]} == {}
    assert {name: text for name, text in REFUSED.items() if text not in texts_[name]} == {}
    assert {name: problem[name] for name in UNUSABLE} == dict.fromkeys(UNUSABLE, "invalid answer")
    statuses = {name: f"http {texts_[name].split()[1].strip(',')}" for name in REFUSED}
    assert {name: problem[name] for name in REFUSED} == statuses
    assert {name: (problem[name], texts_[name]) for name in MESSAGES} == MESSAGES
    assert {name: texts_[name] for name in GOOD} == GOOD
    is_prescribed = era == "modern"
    assert (problem["rpc-400"], texts_["rpc-400"]) == (
        ("json-rpc error -32602", "no such city")
        if is_prescribed
        else ("http 400", "HTTP 400 Bad Request: no such city")
    )
    words = {event["tool"]: event["error"] for event in named(done, "tool_call") if event.get("error")}
    assert words == {
        name: texts_[name].split(": ", 1)[-1] if name.startswith("rpc-") else texts_[name] for name in words
    }
    assert words.keys() == {*MESSAGES, "rpc-400", "rpc-500", "rpc-data-500", "rpc-text-500", "rpc-empty-422"}
    halves = [event for event in named(done, "warning") if "lone surrogate" in event["message"]]
    assert len(halves) == 1
    assert done.verdicts == {"q0": "failed", "q1": "passed"}
    calls = {name.split(" ", 1)[1]: count for name, count in counted(done, 1).items() if name.startswith("tools/call ")}
    assert calls == dict.fromkeys([name for name, _ in first] + ["counts"], 1)
    assert named(done, "server_restart") == named(done, "session_renewed") == []
    assert [event.get("died") for event in named(done, "server_exit")] == [False]


@pytest.mark.parametrize("era", ERAS)
def test_prompts_and_resources_that_the_server_refuses(tmp_path: Path, era: str) -> None:
    """They are errors of their queries, with the server's words, and the other queries do not notice."""
    with answering(era) as url:
        done = batch(
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
    words = [
        "HTTP 502 Bad Gateway: 502 Bad Gateway nginx & co",
        "HTTP 200 OK, but the response was cut off after 40 bytes",
        "Connection closed",
        "database is down",
    ]
    messages = [transcript["error"]["message"] for transcript in done.transcripts[:4]]
    assert [word in message for word, message in zip(words, messages, strict=True)] == [True] * 4
    asked = [*named(done, "prompt_get"), *named(done, "resource_read")]
    problems = {event.get("prompt") or event["uri"]: event.get("problem") for event in asked}
    assert problems == {
        "html-502": "http 502",
        "a://cut-length": "invalid answer",
        "closed": "json-rpc error -32000",
        "a://null-id": "json-rpc error -32603",
        "good": None,
        "a://good": None,
    }
    assert named(done, "server_restart") == []


@pytest.mark.parametrize("flags", [("--servers", "2"), ("--fresh-server",), ("--concurrency", "1")])
def test_a_refused_call_takes_no_neighbour_with_it(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """However queries share servers: one call each, no restart, and the good ones pass."""
    queries = [script((name, {})) for name in ("http-500", "ok", "cut-chunk", "ok", "events-none", "ok") * 3]
    with answering("sessions") as url:
        done = batch(tmp_path, url, *queries, flags=(*flags, "--restarts", "0"))
        count = counted(batch(tmp_path, url, script(("counts", {}))))
    assert list(done.verdicts.values()) == ["failed", "passed"] * 9
    assert [count[f"tools/call {name}"] for name in ("http-500", "ok", "cut-chunk", "events-none")] == [3, 9, 3, 3]
    assert [transcript["attempts"] for transcript in done.transcripts] == [1] * 18


def test_a_tool_that_may_be_repeated_is_called_once_more(tmp_path: Path) -> None:
    """After `retry-after`, if the tool is read-only or idempotent, and the wait is short enough; no other is."""
    calls = {
        "reading": {},
        "repeatable": {"status": 503},
        "writing": {},
    }
    one = ("--concurrency", "1")
    waits = (
        {"times": 9},
        {"times": 9, "after": 3600},
        {"times": 9, "after": 25, "status": 503},
        {"times": 9, "after": "x"},
    )
    with answering("sessions") as url:
        done = batch(tmp_path, url, script(*calls.items()), script(("counts", {})), flags=one)
        again = [
            counted(
                batch(
                    tmp_path,
                    url,
                    script(("reading", more)),
                    script(("counts", {})),
                    flags=(*one, "--call-timeout", "20"),
                ),
                1,
            )
            for more in waits
        ]
        late = batch(tmp_path, url, script(("reading", waits[0])))
    assert texts(done) == {"reading": "fine", "repeatable": "fine", "writing": "HTTP 429 Too Many Requests: too busy"}
    count = counted(done, 1)
    assert [count[f"tools/call {name}"] for name in calls] == [2, 2, 1]
    retried = {(event["tool"], event["call"], event["problem"], event["wait"]) for event in named(done, "call_retry")}
    assert retried == {("reading", 0, "http 429", 0.0), ("repeatable", 1, "http 503", 0.0)}
    assert [count["tools/call reading"] for count in again] == [4, 5, 6, 7]
    assert problems(late) == {"reading": "http 429"}


def test_waiting_before_a_call_is_sent_again_is_off_the_query_s_clock(tmp_path: Path) -> None:
    """The server asks to wait for a second, which `max_seconds` and the query's deadline do not count."""
    with answering("sessions") as url:
        done = batch(tmp_path, url, script(("reading", {"after": 1})))
    assert [event["wait"] for event in named(done, "call_retry")] == [1.0]
    assert [event["waited"] >= 1 for event in named(done, "attempt_end")] == [True]


# Sessions. -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 400, 503])
def test_a_lost_session_is_renewed_for_all_at_once(tmp_path: Path, status: int) -> None:
    """Calls that were refused for it are sent once more in one new session; so are prompts and resources."""
    forget = {"calls": [{"tool": "forget", "input": {"status": status}}]}
    six = {"calls": [{"tool": "ok", "input": {}}] * 6}
    counts = {"calls": [{"tool": "counts", "input": {}}]}
    with answering("sessions") as url:
        done = batch(
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
    assert [(event["server"], event["status"]) for event in named(done, "session_renewed")] == [(1, status)] * 4
    first, last = counted(done), counted(done, 5)
    assert (first["initialize"], first["notifications/initialized"], first.get("ping", 0)) == (
        2,
        2,
        6 * (status != 404),
    )
    assert 6 < first["tools/call ok"] <= 12
    assert (last["initialize"], last["prompts/get good"], last["resources/read good"]) == (5, 2, 2)
    assert last["tools/list"] == 9  # two pages at first and after three of the losses, and one that was sent again
    assert len(named(done, "server_start")) == 1


def test_queries_share_a_new_session(tmp_path: Path) -> None:
    """Those in flight as well: nobody is tried again."""
    queries = [script(("forget", {}) if n == 4 else ("ok", {})) for n in range(24)]
    with answering("sessions") as url:
        done = batch(tmp_path, url, *queries, flags=("--concurrency", "8", "--restarts", "0"))
        count = counted(batch(tmp_path, url, script(("counts", {}))))
    assert (set(done.verdicts.values()), {one["attempts"] for one in done.transcripts}) == ({"passed"}, {1})
    assert (count["initialize"], len(named(done, "session_renewed"))) == (3, 1)


def test_a_call_that_no_session_is_good_for_is_an_error(tmp_path: Path) -> None:
    """It is sent twice, never fails its query, and the session that was opened for it serves the others."""
    with answering("sessions") as url:
        done = batch(
            tmp_path, url, script(("never", {})), script(("ok", {}), ("counts", {})), flags=("--concurrency", "1")
        )
    assert done.verdicts == {"q0": "error", "q1": "passed"}
    assert done.transcripts[0]["error"] == {
        "kind": "session_lost",
        "message": "the server refused never in a new session too: HTTP 404 Not Found: never heard of it",
    }
    count = counted(done, 1)
    assert (done.code, count["tools/call never"], count["initialize"]) == (3, 2, 2)


@pytest.mark.parametrize("era", ["stateless", "modern"])
def test_without_sessions_a_404_is_the_calls_own(tmp_path: Path, era: str) -> None:
    """As any other status."""
    with answering(era) as url:
        done = batch(tmp_path, url, script(("never", {})), script(("counts", {})), flags=("--concurrency", "1"))
    assert (texts(done), problems(done)["never"]) == ({"never": "HTTP 404 Not Found: never heard of it"}, "http 404")
    count = counted(done, 1)
    assert (count["tools/call never"], count.get("initialize", 0), count.get("ping")) == (1, era == "stateless", None)


def test_a_server_that_opens_no_new_session_has_died(tmp_path: Path) -> None:
    """The restarts are used for it, the reason is told, and the call is an error."""
    gone = ("forget", {"for_ever": True, "status": 400})
    with answering("sessions") as url:
        done = batch(
            tmp_path, url, script(gone), script(("ok", {})), script(("ok", {})),
            flags=("--concurrency", "1", "--restarts", "1"),
        )  # fmt: skip
    assert (done.code, list(done.verdicts.values())) == (3, ["passed", "skipped", "skipped"])
    reason = (
        "the server lost the session (HTTP 400) and opened no new one: HTTP 503 Service Unavailable: no sessions today"
    )
    assert reason in named(done, "attempt_end")[1]["error"]
    assert "refused the connection: HTTP 503 Service Unavailable: no sessions today" in done.stderr


# Lost connections, and what is sent besides calls. --------------------------------------------------------


def test_a_connection_that_is_reset_before_the_response_is_lost(tmp_path: Path) -> None:
    """The query is tried again, as with any server that dies; the reason is told."""
    with answering("sessions") as url:
        done = batch(tmp_path, url, script(("resets", {})), script(("ok", {})), flags=("--concurrency", "1"))
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
def test_what_keeps_mcprun_from_connecting_is_told_in_the_servers_words(
    tmp_path: Path, era: str, flaw: str, expected: str
) -> None:
    """Each page of the list of tools is part of it."""
    with answering(era, flaw) as url:
        done = run_mcprun("tools", url, "--connect-timeout", "20", cwd=tmp_path)
    assert (done.code, expected in done.stderr, "Traceback" in done.stderr) == (3, True, False)


def test_refused_notifications_and_responses_are_told_and_end_nothing(tmp_path: Path) -> None:
    """The server asks for neither, so that nobody else would."""
    with answering("sessions", "notifications/initialized") as url:
        done = batch(tmp_path, url, script(("ok", {})))
    assert done.code == 0
    warning = "the server refused notifications/initialized: HTTP 500 Internal Server Error: the words of 500"
    assert warning in [event["message"] for event in named(done, "warning")]
    with answering("sessions", "response") as url:
        done = batch(tmp_path, url, script(("asks", {}), ("ok", {})), flags=("--elicit", "decline"))
    assert done.code == 0
    warning = "the server refused a response to its request: HTTP 500 Internal Server Error: the words of 500"
    assert warning in [event["message"] for event in named(done, "warning")]


def test_transcripts_do_not_depend_on_the_order_of_requests(tmp_path: Path) -> None:
    """The `id` of a request is in no words of a body."""
    names = ("array", "other-id", "error-text", "events-bad", "rpc-500", "two")
    with answering("sessions") as url:
        done = [batch(tmp_path, url, *(script((name, {})) for name in order)) for order in (names, names[::-1])]
    first, second = ({texts(run, place).popitem() for place in range(len(names))} for run in done)
    assert first == second


def test_a_recorded_refusal_is_no_divergence_when_it_comes_again(tmp_path: Path) -> None:
    """Replays, and comparisons with them, see the same words."""
    with answering("sessions") as url:
        recorded = batch(tmp_path, url, script(("http-500", {}), ("half", {}), ("ok", {})))
        again = run_mcprun("batch", "p.jsonl", url, "--model", f"replay:{recorded.run}", cwd=tmp_path)
    assert [call.get("diverged", False) for call in again.transcripts[0]["calls"]] == [False] * 3
    assert run_mcprun("diff", recorded.run, again.run, cwd=tmp_path).code == 0


# Over the transport of 2024-11-05. ------------------------------------------------------------------------


def test_a_message_that_an_sse_server_refuses_is_that_calls_failure(tmp_path: Path) -> None:
    """The stream of events stays, and so do the calls beside it; results may be as long as anywhere."""
    statuses = {
        name: text
        for name, text in REFUSED.items()
        if name.startswith(("http-4", "http-5", "html-", "json-", "rpc-", "cut-5"))
    }
    with answering("sse") as url:
        calls: list[tuple[str, dict[str, Any]]] = [
            (name, {}) for name in (*statuses, "ok", "waits", "closed", "redirect")
        ]
        bounds = ("--max-result-bytes", "3000000", "--restarts", "0")
        done = batch(
            tmp_path, url, script(*calls, ("big", {"bytes": 2_000_000})), script(("big", {"bytes": 3_000_000})),
            script(("counts", {})), flags=(*bounds, "--concurrency", "1"),
        )  # fmt: skip
    texts_, problem = texts(done), problems(done)
    assert {name: text for name, text in statuses.items() if text not in texts_[name]} == {}
    assert {problem[name] for name in statuses} == {f"http {texts_[name].split()[1]}" for name in statuses}
    assert (texts_["ok"], texts_["waits"], len(texts_["big"])) == ("fine", "fine", 2_000_000)
    assert (texts_["closed"], problem["closed"], problem["redirect"]) == (
        "Connection closed",
        "json-rpc error -32000",
        "http 302",
    )
    assert "bytes, and --max-result-bytes allows 3,000,000" in texts(done, 1)["big"]
    assert done.verdicts == {"q0": "failed", "q1": "failed", "q2": "passed"}
    count = counted(done, 2)
    assert {count[f"tools/call {name}"] for name, _ in calls} == {1}
    assert named(done, "server_restart") == []


def test_an_sse_session_that_is_lost_is_a_lost_connection(tmp_path: Path) -> None:
    """The query is tried again in a new one; a ping tells a lost session from a call that is refused."""
    with answering("sse") as url:
        done = batch(
            tmp_path, url, script(("never", {})), script(("ok", {}), ("counts", {})), flags=("--concurrency", "1")
        )
    assert done.verdicts == {"q0": "error", "q1": "passed"}
    message = "the connection to the server was lost during never: the server lost the session: HTTP 404 Not Found: never heard of it"
    assert done.transcripts[0]["error"] == {"kind": "server_died", "message": message}


def test_an_sse_server_that_refuses_the_probe_is_an_older_one(tmp_path: Path) -> None:
    """There is no session yet that the status could mean the loss of."""
    with answering("sse", "server/discover=bare-404") as url:
        file = tmp_path / "servers.json"
        file.write_text(json.dumps({"mcpServers": {"old": {"type": "sse", "url": url}}}))
        done = batch(tmp_path, str(file), script(("ok", {})), flags=("--concurrency", "1", "--restarts", "0"))
    assert (done.code, done.verdicts) == (0, {"q0": "passed"})
    assert named(done, "warning") == []


# Over stdio. ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_json_rpc_error_is_the_requests_own_whatever_it_says(tmp_path: Path, era: str) -> None:
    """The SDK says the same of connections that are lost; a server that says so is still there."""
    server, names = str(SERVERS / "connection_errors.py"), ("closed", "broken", "ended")
    done = batch(
        tmp_path,
        server,
        script(*((name, {}) for name in names), ("ok", {})),
        {"server_prompt": "closed", "script": [{"text": "Done."}]},
        {"resources": ["a://broken"], "prompt": "Go.", "script": [{"text": "Done."}]},
        script(("exits", {})),
        flags=("--concurrency", "1", "--restarts", "0", "--", era),
    )
    assert list(done.verdicts.values()) == ["failed", "error", "error", "failed"]
    message = {name: MESSAGES[name] for name in names} | {
        "ok": (None, "fine"),
        "exits": ("json-rpc error -32000", "out of memory"),
    }
    texts_ = texts(done) | texts(done, 3)
    assert {name: (problem, texts_[name]) for name, problem in problems(done).items()} == message
    errors = [transcript["error"] for transcript in done.transcripts[1:3]]
    assert [(error["kind"], "Connection closed" in error["message"]) for error in errors] == [
        ("prompts", True),
        ("prompts", False),
    ]
    assert named(done, "server_restart") == []


@pytest.mark.parametrize(
    ("era", "method"), [("legacy", "initialize"), ("legacy", "tools/list"), ("modern", "tools/list")]
)
def test_a_refusal_to_connect_is_no_exit(tmp_path: Path, era: str, method: str) -> None:
    """Whatever the error says, it is told as the server's own."""
    done = run_mcprun("tools", str(SERVERS / "connection_errors.py"), "--", era, method, cwd=tmp_path)
    assert (done.code, "Error: the server refused the connection: Connection closed (" in done.stderr) == (3, True)
