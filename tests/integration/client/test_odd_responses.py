"""JSON-RPC errors of every form keep their message and data, and responses with unknown ids are matched if possible."""

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


def raw_call(*lines: str) -> tuple[str, dict[str, Any]]:
    """Return a call whose response is these lines."""
    return "raw", {"lines": list(lines)}


def error_line(body: Any) -> str:
    """Return the line of an error response."""
    return f'{{"jsonrpc": "2.0", "id": $id, "error": {json.dumps(body)}}}'


def result_line(id_json: str, text: str = "x") -> str:
    """Return the line of a result whose id is written as JSON."""
    result = json.dumps({"resultType": "complete", "content": [{"type": "text", "text": text}]})
    return f'{{"jsonrpc": "2.0", "id": {id_json}, "result": {result}}}'


CASES = {
    "data": (error_line({"code": -32603, "message": "Internal error", "data": {"id": 7}}), "json-rpc error -32603", 'Internal error (data: {"id": 7})'),
    "no-message": (error_line({"code": -32000, "message": "", "data": "full"}), "json-rpc error -32000", "an error without a message (-32000) (data: full)"),
    "text-code": (error_line({"code": "E_FULL", "message": "full"}), "json-rpc error", 'full (data: {"code": "E_FULL"})'),
    "text": (error_line("full"), "json-rpc error", "full"),
    "list": (error_line(["full"]), "json-rpc error", '["full"]'),
    "number": (error_line(42), "json-rpc error", "42"),
    "true": (error_line(True), "json-rpc error", "true"),
    "no-id": (NO_ID, "json-rpc error -32603", ERROR_TEXT),
    "absent-id": ('{"error": "full"}', "json-rpc error", "full"),
    "text-id": ('{"jsonrpc": "2.0", "id": "r1", "error": {"code": 1, "message": "full"}}', "json-rpc error 1", "full"),
    "list-id": ('{"jsonrpc": "2.0", "id": [1], "error": {"code": 1, "message": "full"}}', "json-rpc error 1", "full"),
    "cut-short": ('{"jsonrpc": "2.0", "id": null, "error": {"code": 1, "mess', "invalid answer", None),
}  # fmt: skip
"""By name: the response line of a call, the problem in the trace, and the text that the model gets."""

MATCHED_IDS = {"float-id": "$id.0", "null-id": "null", "true-id": "true", "text-id": '"$id"', "other-text-id": '"r7"'}
"""Ids with which a result is still matched to the only pending call."""


@contextmanager
def start_server(era: str, transport: str, env: dict[str, str] | None = None) -> Iterator[tuple[str | Path, ...]]:
    """Start the server on a transport, and yield the arguments that end the command line."""
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
    """Run all cases in order."""
    folder = tmp_path_factory.mktemp("odd")
    era, transport = request.param.split()
    queries = [script(raw_call(line), id=name) for name, (line, _, _) in CASES.items()]
    queries += [script(raw_call(result_line(id_json)), id=f"taken-{name}") for name, id_json in MATCHED_IDS.items()]
    write_jsonl(folder / "p.jsonl", *queries)
    flags = ("--concurrency", "1", "--call-timeout", "20", "--model", "script")
    with start_server(era, transport) as server:
        return run_mcprun("batch", "p.jsonl", *flags, *server, cwd=folder)


@pytest.mark.parametrize("name", CASES)
def test_error_keeps_its_message_and_data(done: Result, name: str) -> None:
    """The transcript, as the model gets it, and the trace have the whole text."""
    _, problem, text = CASES[name]
    (call,) = next(item["calls"] for item in done.transcripts if item["id"] == name)
    (event,) = (item for item in done.trace if item["event"] == "tool_call" and item["query"] == name)
    assert call["is_error"]
    assert event["problem"] == problem
    if text is not None:
        assert (call["content"][0]["text"], event["error"]) == (text, text)


@pytest.mark.parametrize("done", ["legacy stdio", "modern stdio", "legacy sse"], indirect=True)
def test_result_with_a_mistyped_id_is_for_the_only_call(done: Result) -> None:
    """An id of another type does not cause a wait. The trace has those that other clients would not match."""
    names = [f"taken-{name}" for name in MATCHED_IDS]
    assert [done.verdicts[name] for name in names] == ["passed"] * len(names)
    strays = [event["text"] for event in done.trace if event["event"] == "stray_answer"]
    assert len(strays) == 3
    assert all("mcprun used it as the response to that request" in stray for stray in strays)
    assert done.stderr.count("mcprun used it as the response") == 1


@pytest.mark.parametrize("era", ERAS)
def test_ambiguous_error_is_recorded_and_fails_no_call(tmp_path: Path, era: str) -> None:
    """With two calls pending, an error without an id goes to neither.

    The trace and a warning have it, truncated and redacted.
    """
    response = NO_ID.replace("database", "xyzzy-1").replace("7", json.dumps("n" * 3000))
    calls = [raw_call(), raw_call(response, result_line("$id"))]
    write_jsonl(tmp_path / "p.jsonl", script(*calls))
    flags = ("--call-timeout", "1", "--model", "script", "--redact", "xyzzy-1")
    done = run_mcprun("batch", "p.jsonl", SERVER, *flags, "--", era, cwd=tmp_path)
    assert [call["content"][0]["text"] for call in done.transcripts[0]["calls"]] == [
        "No answer from raw within 1 s.",
        "x",
    ]
    (event,) = (event for event in done.trace if event["event"] == "stray_answer")
    message = "the server sent an error without an id while 2 requests were pending: [redacted] is down (data: "
    assert event["text"].startswith(message)
    assert len(event["text"]) < 1200
    assert f"Warning: {message}" in done.stderr


@pytest.mark.parametrize(
    ("era", "method", "message"),
    [
        ("legacy", "initialize", f"the server refused the connection: {ERROR_TEXT}"),
        ("legacy", "tools/list", f"the server refused the connection: {ERROR_TEXT}"),
        ("modern", "tools/list", f"the server refused the connection: {ERROR_TEXT}"),
    ],
)
def test_error_without_an_id_while_connecting_is_reported(tmp_path: Path, era: str, method: str, message: str) -> None:
    """An error without an id belongs to the only pending request, and is reported as the refusal."""
    env = {"ANSWERS": json.dumps({method: [NO_ID]})}
    done = run_mcprun("tools", SERVER, "--env", "ANSWERS", "--connect-timeout", "30", "--", era, cwd=tmp_path, env=env)
    assert (done.code, message in done.stderr) == (3, True)


@pytest.mark.parametrize("era", ERAS)
def test_prompt_and_resource_errors_keep_their_message_and_data(tmp_path: Path, era: str) -> None:
    """An error in place of a prompt or a resource is the query's error, and it is in the trace."""
    response = error_line({"code": -32001, "message": "locked", "data": {"by": "ann"}})
    env = {"ANSWERS": json.dumps({"prompts/get": [response], "resources/read": [NO_ID]})}
    queries = [
        {"id": "p", "server_prompt": {"name": "x"}, "script": [{"text": "."}]},
        {"id": "r", "prompt": ".", "resources": ["x://y"], "script": [{"text": "."}]},
    ]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--env", "ANSWERS", "--model", "script", "--concurrency", "1", "--call-timeout", "20")
    done = run_mcprun("batch", "p.jsonl", SERVER, *flags, "--", era, cwd=tmp_path, env=env)
    texts = ['locked (data: {"by": "ann"})', ERROR_TEXT]
    assert [event["error"] for event in done.trace if event["event"] in ("prompt_get", "resource_read")] == texts
    assert [
        text in transcript["error"]["message"] for text, transcript in zip(texts, done.transcripts, strict=True)
    ] == [True, True]


LISTS: dict[str, dict[str, list[Any]]] = {
    "tools/list": {"tools": []},
    "prompts/list": {"prompts": []},
    "resources/list": {"resources": []},
    "resources/templates/list": {"resourceTemplates": []},
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("command", [("tools", "--all"), ("tools",), ("batch", "p.jsonl"), ("init", "--no-workflow")])
def test_repeated_cursor_ends_its_list(tmp_path: Path, era: str, command: tuple[str, ...]) -> None:
    """A list of endless empty pages is reported by a warning with the name of its method."""
    write_jsonl(tmp_path / "p.jsonl", {"prompt": ".", "script": [{"text": "."}]})
    required_fields = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if era == "modern" else {}
    lines = {
        method: [
            json.dumps({"jsonrpc": "2.0", "id": "$id", "result": {**page, "nextCursor": "again", **required_fields}})
        ]
        for method, page in LISTS.items()
    }
    env = {"ANSWERS": json.dumps(lines).replace('\\"$id\\"', "$id")}
    name, *rest = command
    done = run_mcprun(name, *rest, SERVER, "--env", "ANSWERS", "--", era, cwd=tmp_path, env=env)
    assert done.code == (2 if name == "init" else 0)
    warnings = [line for line in done.stderr.splitlines() if "repeats the cursor" in line]
    methods = LISTS if command == ("tools", "--all") else ["tools/list"]
    texts = [f"Warning: the server's {method} repeats the cursor 'again', so the list ends there" for method in methods]
    assert warnings == texts


@pytest.mark.parametrize("transport", ["stdio", "json", "events", "sse"])
def test_unanswered_probe_falls_back_to_initialize(tmp_path: Path, transport: str) -> None:
    """mcprun falls back to the older handshake within `--connect-timeout`, and does not probe again at a restart."""
    env = {"ANSWERS": json.dumps({"server/discover": []})}
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {}), id="a"), script(("ok", {}), id="b"))
    flags = ("--model", "script", "--connect-timeout", "6", "--fresh-server")
    with start_server("legacy", transport, env) as server:
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
def test_connect_timeout_names_the_pending_request(tmp_path: Path, silent: list[str], waiting: str) -> None:
    """A timeout while connecting names the request that was sent last."""
    env = {"ANSWERS": json.dumps({method: [] for method in silent})}
    done = run_mcprun(
        "tools", SERVER, "--env", "ANSWERS", "--connect-timeout", "3", "--", "legacy", cwd=tmp_path, env=env
    )
    assert done.code == 3
    assert f"the server did not respond within 3 s, waiting for {waiting}: " in done.stderr
