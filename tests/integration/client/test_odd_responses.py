"""Errors of every form keep their message and data, and ids that fit no request are matched."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import SERVERS, Result, clean_environment, run_mcprun, script, write_jsonl

SERVER = SERVERS / "odd_answers.py"

NO_ID = '{"jsonrpc": "2.0", "id": null, "error": {"code": -32603, "message": "database is down", "data": {"n": 7}}}'

ERROR_TEXT = 'database is down (data: {"n": 7})'

ERAS = ("legacy", "modern")


def raw(*lines: str) -> tuple[str, dict[str, Any]]:
    """Make a call that is answered with lines."""
    return "raw", {"lines": list(lines)}


def error(sent: Any) -> str:
    """Make the line of an error."""
    return f'{{"jsonrpc": "2.0", "id": $id, "error": {json.dumps(sent)}}}'


def result_line(given: str, text: str = "x") -> str:
    """Make the line of a result whose id is given as JSON."""
    result = json.dumps({"resultType": "complete", "content": [{"type": "text", "text": text}]})
    return f'{{"jsonrpc": "2.0", "id": {given}, "result": {result}}}'


CASES = {
    "data": (error({"code": -32603, "message": "Internal error", "data": {"id": 7}}), "json-rpc error -32603", 'Internal error (data: {"id": 7})'),
    "no-message": (error({"code": -32000, "message": "", "data": "full"}), "json-rpc error -32000", "an error without a message (-32000) (data: full)"),
    "text-code": (error({"code": "E_FULL", "message": "full"}), "json-rpc error", 'full (data: {"code": "E_FULL"})'),
    "text": (error("full"), "json-rpc error", "full"),
    "list": (error(["full"]), "json-rpc error", '["full"]'),
    "number": (error(42), "json-rpc error", "42"),
    "true": (error(True), "json-rpc error", "true"),
    "no-id": (NO_ID, "json-rpc error -32603", ERROR_TEXT),
    "absent-id": ('{"error": "full"}', "json-rpc error", "full"),
    "text-id": ('{"jsonrpc": "2.0", "id": "r1", "error": {"code": 1, "message": "full"}}', "json-rpc error 1", "full"),
    "list-id": ('{"jsonrpc": "2.0", "id": [1], "error": {"code": 1, "message": "full"}}', "json-rpc error 1", "full"),
    "cut-short": ('{"jsonrpc": "2.0", "id": null, "error": {"code": 1, "mess', "invalid answer", None),
}  # fmt: skip
"""By name: the line that a call is answered with, the problem in the trace, and the text that the model is told."""

TAKEN = {"float-id": "$id.0", "null-id": "null", "true-id": "true", "text-id": '"$id"', "other-text-id": '"r7"'}
"""Ids with which a result is still taken for that of the only call."""


@contextmanager
def reached(era: str, transport: str, env: dict[str, str] | None = None) -> Iterator[tuple[str | Path, ...]]:
    """Give the arguments that reach the server over a transport, the last of a command line."""
    if transport == "stdio":
        yield SERVER, *(("--env", "ANSWERS") if env else ()), "--", era
        return
    command = [sys.executable, str(SERVERS / "odd_answers_http.py"), era, transport]
    process = subprocess.Popen(command, env=clean_environment() | (env or {}), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
        if transport != "sse":
            yield (url,)
            return
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "servers.json"
            file.write_text(json.dumps({"mcpServers": {"odd": {"type": "sse", "url": url}}}))
            yield (file,)
    finally:
        process.kill()
        process.communicate(timeout=30)


@pytest.fixture(
    scope="module", params=["legacy stdio", "modern stdio", "legacy json", "modern json", "legacy events", "modern events", "legacy sse"]
)  # fmt: skip
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run of all cases, one after the other."""
    folder = tmp_path_factory.mktemp("odd")
    era, transport = request.param.split()
    queries = [script(raw(line), id=name) for name, (line, _, _) in CASES.items()]
    queries += [script(raw(result_line(given)), id=f"taken-{name}") for name, given in TAKEN.items()]
    write_jsonl(folder / "p.jsonl", *queries)
    flags = ("--concurrency", "1", "--call-timeout", "20", "--model", "script")
    with reached(era, transport) as server:
        return run_mcprun("batch", "p.jsonl", *flags, *server, cwd=folder)


@pytest.mark.parametrize("name", CASES)
def test_an_error_is_told_with_all_its_words(done: Result, name: str) -> None:
    """In the transcript as the model is told it, and in the trace."""
    _, problem, text = CASES[name]
    (call,) = next(one["calls"] for one in done.transcripts if one["id"] == name)
    (event,) = (one for one in done.trace if one["event"] == "tool_call" and one["query"] == name)
    assert call["is_error"]
    assert event["problem"] == problem
    if text is not None:
        assert (call["content"][0]["text"], event["error"]) == (text, text)


@pytest.mark.parametrize("done", ["legacy stdio", "modern stdio", "legacy sse"], indirect=True)
def test_a_result_is_for_the_only_call(done: Result) -> None:
    """An id of another type is no reason to wait; the trace has those that other clients would not understand."""
    names = [f"taken-{name}" for name in TAKEN]
    assert [done.verdicts[name] for name in names] == ["passed"] * len(names)
    strays = [event["text"] for event in done.trace if event["event"] == "stray_answer"]
    assert len(strays) == 3
    assert all("mcprun used it as the response to that request" in stray for stray in strays)
    assert done.stderr.count("mcprun used it as the response") == 1


@pytest.mark.parametrize("era", ERAS)
def test_an_error_that_may_be_for_either_call_is_recorded(tmp_path: Path, era: str) -> None:
    """Neither call is told what may be for the other; the words are in the trace and in a warning, cut and redacted."""
    sent = NO_ID.replace("database", "xyzzy-1").replace("7", json.dumps("n" * 3000))
    calls = [raw(), raw(sent, result_line("$id"))]
    write_jsonl(tmp_path / "p.jsonl", script(*calls))
    flags = ("--call-timeout", "1", "--model", "script", "--redact", "xyzzy-1")
    done = run_mcprun("batch", "p.jsonl", SERVER, *flags, "--", era, cwd=tmp_path)
    assert [call["content"][0]["text"] for call in done.transcripts[0]["calls"]] == [
        "No answer from raw within 1 s.",
        "x",
    ]
    (event,) = (event for event in done.trace if event["event"] == "stray_answer")
    words = "the server sent an error without an id while 2 requests were pending: [redacted] is down (data: "
    assert event["text"].startswith(words)
    assert len(event["text"]) < 1200
    assert f"Warning: {words}" in done.stderr


@pytest.mark.parametrize(
    ("era", "method", "message"),
    [
        ("legacy", "initialize", f"the server refused the connection: {ERROR_TEXT}"),
        ("legacy", "tools/list", f"the server refused the connection: {ERROR_TEXT}"),
        ("modern", "tools/list", f"the server refused the connection: {ERROR_TEXT}"),
    ],
)
def test_an_error_on_the_way_to_the_first_call_is_told(tmp_path: Path, era: str, method: str, message: str) -> None:
    """Without an id, it answers the only request that waits."""
    env = {"ANSWERS": json.dumps({method: [NO_ID]})}
    done = run_mcprun("tools", SERVER, "--env", "ANSWERS", "--connect-timeout", "30", "--", era, cwd=tmp_path, env=env)
    assert (done.code, message in done.stderr) == (3, True)


@pytest.mark.parametrize("era", ERAS)
def test_prompts_and_resources_keep_the_words_of_errors(tmp_path: Path, era: str) -> None:
    """What the server said in place of a prompt or a resource is the query's error, and in the trace."""
    sent = error({"code": -32001, "message": "locked", "data": {"by": "ann"}})
    env = {"ANSWERS": json.dumps({"prompts/get": [sent], "resources/read": [NO_ID]})}
    queries = [
        {"id": "p", "server_prompt": {"name": "x"}, "script": [{"text": "."}]},
        {"id": "r", "prompt": ".", "resources": ["x://y"], "script": [{"text": "."}]},
    ]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--env", "ANSWERS", "--model", "script", "--concurrency", "1", "--call-timeout", "20")
    done = run_mcprun("batch", "p.jsonl", SERVER, *flags, "--", era, cwd=tmp_path, env=env)
    texts = ['locked (data: {"by": "ann"})', ERROR_TEXT]
    assert [event["error"] for event in done.trace if event["event"] in ("prompt_get", "resource_read")] == texts
    assert [text in one["error"]["message"] for text, one in zip(texts, done.transcripts, strict=True)] == [True, True]


LISTS: dict[str, dict[str, list[Any]]] = {
    "tools/list": {"tools": []},
    "prompts/list": {"prompts": []},
    "resources/list": {"resources": []},
    "resources/templates/list": {"resourceTemplates": []},
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("command", [("tools", "--all"), ("tools",), ("batch", "p.jsonl"), ("init", "--no-workflow")])
def test_a_cursor_that_comes_again_ends_its_list(tmp_path: Path, era: str, command: tuple[str, ...]) -> None:
    """A list whose pages are empty for ever is warned of, by the name of its method."""
    write_jsonl(tmp_path / "p.jsonl", {"prompt": ".", "script": [{"text": "."}]})
    more = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if era == "modern" else {}
    lines = {
        method: [json.dumps({"jsonrpc": "2.0", "id": "$id", "result": {**page, "nextCursor": "again", **more}})]
        for method, page in LISTS.items()
    }
    env = {"ANSWERS": json.dumps(lines).replace('\\"$id\\"', "$id")}
    name, *rest = command
    done = run_mcprun(name, *rest, SERVER, "--env", "ANSWERS", "--", era, cwd=tmp_path, env=env)
    assert done.code == (2 if name == "init" else 0)
    warned = [line for line in done.stderr.splitlines() if "repeats the cursor" in line]
    asked = LISTS if command == ("tools", "--all") else ["tools/list"]
    texts = [f"Warning: the server's {method} repeats the cursor 'again', so the list ends there" for method in asked]
    assert warned == texts


@pytest.mark.parametrize("transport", ["stdio", "json", "events", "sse"])
def test_a_server_that_does_not_answer_the_probe(tmp_path: Path, transport: str) -> None:
    """It is connected to by the older handshake, within the time for connecting; a restart asks no second time."""
    env = {"ANSWERS": json.dumps({"server/discover": []})}
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a"), script(("ok", {}), id="b"))
    flags = ("--model", "script", "--connect-timeout", "6", "--fresh-server")
    with reached("legacy", transport, env) as server:
        done = run_mcprun("batch", "p.jsonl", *flags, *server, cwd=tmp_path, env=env)
    warning = "the server did not answer server/discover within 2 s, so mcprun fell back to initialize"
    assert (done.code, done.verdicts) == (0, {"a": "passed", "b": "passed"})
    assert [event["message"][: len(warning)] for event in done.trace if event["event"] == "warning"] == [warning]
    assert len([event for event in done.trace if event["event"] == "server_start"]) == 2


@pytest.mark.parametrize(
    ("silent", "waiting"),
    [
        (["server/discover", "initialize"], "its response to initialize (server/discover was not answered either)"),
        (["initialize"], "its response to initialize"),
        (["tools/list"], "its tools"),
    ],
)
def test_the_request_that_is_waited_for_is_named(tmp_path: Path, silent: list[str], waiting: str) -> None:
    """A time-out while connecting blames the request that was really sent last."""
    env = {"ANSWERS": json.dumps({method: [] for method in silent})}
    done = run_mcprun(
        "tools", SERVER, "--env", "ANSWERS", "--connect-timeout", "3", "--", "legacy", cwd=tmp_path, env=env
    )
    assert done.code == 3
    assert f"the server did not respond within 3 s, waiting for {waiting}: " in done.stderr
