"""An integer with more digits than Python converts costs at most itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcprun._util.long_integers import (
    WARNING,
)
from tests.support.canned_bytes import ERAS, TRANSPORTS, calling, played, server_args
from tests.support.cli import PROMPTS, RAW, run_mcprun, script, write_jsonl
from tests.support.messages_api import Answer, HttpReply, MessagesApi, message, text

LONG = "9" * 5000

NUMBER = "a number with many digits"
"""Stands for `LONG` until a value is written."""


def written(value: Any) -> str:
    """Write a value with the number in it."""
    return json.dumps(value).replace(json.dumps(NUMBER), LONG)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_may_send_one_anywhere(tmp_path: Path, transport: str, era: str) -> None:
    """It is recorded as text with all its digits, warned of once for each tool, and nothing else is lost."""
    frame: dict[str, Any] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if era != "legacy" else {}
    good = {"type": "text", "text": "good", "_meta": {"n": NUMBER}}
    results = {
        "a": {**frame, "content": [good], "structuredContent": {"n": NUMBER, "minus": [-1]}, "_meta": {"n": [NUMBER]}},
        "p": {**frame, "messages": [{"role": "user", "content": good}], "_meta": {"n": NUMBER}},
        "x:r": {**frame, "contents": [{"uri": "x:r", "text": "good", "_meta": {"n": NUMBER}}]},
        "e": f'error: {{"code": {LONG}, "message": "no", "data": {{"n": {LONG}}}}}',
    }
    number = {"type": "integer", "minimum": 10**12}
    output = {"type": "object", "properties": {"n": number}, "required": ["n"]}
    properties = {"key": {"type": "string", "x-max": NUMBER}}
    tool = {"name": "t", "inputSchema": {"type": "object", "properties": properties}, "outputSchema": output}
    page = {**frame, "tools": [tool], "_meta": {"n": NUMBER}}
    texts = {key: one if isinstance(one, str) else written(one) for key, one in results.items()}
    queries = [
        calling("a", expect={"calls": [{"tool": "t", "result": {"n": LONG, "minus": [-1]}}]}),
        calling("a") | {"id": "again"},
        calling("e", expect={"tool_errors": "allow"}),
        {"id": "p", "prompt": "go", "script": [{"text": "Done."}], "server_prompt": "p"},
        {"id": "r", "prompt": "go", "script": [{"text": "Done."}], "resources": ["x:r"]},
    ]
    file = server_args(
        tmp_path, era, texts, {"tools/list": [written(page)], "prompts/list": [{"prompts": [{"name": "p"}]}]}
    )
    done = played(tmp_path, file, transport, *queries)
    assert dict.fromkeys(("a", "again", "e", "p", "r"), "passed") == done.verdicts
    found = {one["id"]: one for one in done.transcripts}
    (call,) = found["a"]["calls"]
    assert (call["structured"], call["is_error"]) == ({"n": LONG, "minus": [-1]}, False)
    assert call["content"] == [{**good, "_meta": {"n": LONG}}]
    assert f'"n": "{LONG}"' in found["e"]["calls"][0]["content"][0]["text"]
    (kept,) = done.record["server"]["tools"]
    assert kept["inputSchema"]["properties"]["key"]["x-max"] == LONG
    warnings = [line for line in done.stderr.splitlines() if WARNING in line]
    assert len(warnings) == len(set(warnings))
    assert sum("message (t)" in line for line in warnings) == 1
    again = run_mcprun("batch", "p.jsonl", RAW, "--model", f"replay:{done.run}", cwd=tmp_path)
    assert "Traceback" not in again.stderr
    assert run_mcprun("show", done.run, "a", cwd=tmp_path).code == 0


def test_a_model_may_send_one(tmp_path: Path) -> None:
    """In the input of a call; a stream is read as a whole reply is."""
    write_jsonl(tmp_path / "p.jsonl", {"id": "q", "prompt": "add"})
    use = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": NUMBER, "b": 1}}
    usage = {"input_tokens": 1, "output_tokens": 1}
    head = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    answers: list[Answer] = [
        HttpReply(200, written({**head, **message([use], stop_reason="tool_use", usage=usage)})),
        text("Done."),
    ]
    with MessagesApi(lambda _: answers.pop(0)) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = run_mcprun("batch", "p.jsonl", PROMPTS / "quickstart.py", "--no-retry", cwd=tmp_path, env=env)
    (transcript,) = done.transcripts
    assert (transcript["verdict"], transcript["error"]) == ("failed", None)
    assert transcript["calls"][0]["input"] == {"a": LONG, "b": 1}
    assert done.stderr.count(WARNING) == 1


def test_a_prompts_file_with_one_is_refused(tmp_path: Path) -> None:
    """As it is with NaN, with its line: what the user meant is not sent to anybody."""
    (tmp_path / "p.jsonl").write_text(
        f'{{"prompt": "?", "expect": {{"calls": [{{"tool": "t", "input": {{"n": {LONG}}}}}]}}}}\n'
    )
    done = run_mcprun("validate", "p.jsonl", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "p.jsonl:1: line: not JSON: a number has more than 4,300 digits\n")


def test_text_that_holds_one_stays_text(tmp_path: Path) -> None:
    """It fits no expectation of JSON, and the reason is given."""
    expect = {"text": {"json_schema": {"type": "object"}}}
    write_jsonl(tmp_path / "p.jsonl", script(text=f'{{"n": {LONG}}}', expect=expect))
    done = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path)
    (check,) = [one for one in done.transcripts[0]["checks"] if not one["passed"]]
    assert "more than 4,300 digits" in check["message"]
