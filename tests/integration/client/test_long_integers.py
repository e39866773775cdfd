"""An integer with more digits than Python converts affects nothing but itself."""

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
"""Replaced by `LONG` when a value is serialised."""


def to_json(value: Any) -> str:
    """Return a value as JSON, with `LONG` in place of `NUMBER`."""
    return json.dumps(value).replace(json.dumps(NUMBER), LONG)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_long_integers_of_a_server_are_recorded_as_text(tmp_path: Path, transport: str, era: str) -> None:
    """An integer is recorded with all its digits and causes one warning per tool, wherever it is sent.

    Nothing else is lost.
    """
    required_fields: dict[str, Any] = (
        {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"} if era != "legacy" else {}
    )
    good = {"type": "text", "text": "good", "_meta": {"n": NUMBER}}
    results = {
        "a": {
            **required_fields,
            "content": [good],
            "structuredContent": {"n": NUMBER, "minus": [-1]},
            "_meta": {"n": [NUMBER]},
        },
        "p": {**required_fields, "messages": [{"role": "user", "content": good}], "_meta": {"n": NUMBER}},
        "x:r": {**required_fields, "contents": [{"uri": "x:r", "text": "good", "_meta": {"n": NUMBER}}]},
        "e": f'error: {{"code": {LONG}, "message": "no", "data": {{"n": {LONG}}}}}',
    }
    number = {"type": "integer", "minimum": 10**12}
    output = {"type": "object", "properties": {"n": number}, "required": ["n"]}
    properties = {"key": {"type": "string", "x-max": NUMBER}}
    tool = {"name": "t", "inputSchema": {"type": "object", "properties": properties}, "outputSchema": output}
    page = {**required_fields, "tools": [tool], "_meta": {"n": NUMBER}}
    texts = {key: item if isinstance(item, str) else to_json(item) for key, item in results.items()}
    queries = [
        calling("a", expect={"calls": [{"tool": "t", "result": {"n": LONG, "minus": [-1]}}]}),
        calling("a") | {"id": "again"},
        calling("e", expect={"tool_errors": "allow"}),
        {"id": "p", "prompt": "go", "script": [{"text": "Done."}], "server_prompt": "p"},
        {"id": "r", "prompt": "go", "script": [{"text": "Done."}], "resources": ["x:r"]},
    ]
    file = server_args(
        tmp_path, era, texts, {"tools/list": [to_json(page)], "prompts/list": [{"prompts": [{"name": "p"}]}]}
    )
    done = played(tmp_path, file, transport, *queries)
    assert dict.fromkeys(("a", "again", "e", "p", "r"), "passed") == done.verdicts
    transcripts = {item["id"]: item for item in done.transcripts}
    (call,) = transcripts["a"]["calls"]
    assert (call["structured"], call["is_error"]) == ({"n": LONG, "minus": [-1]}, False)
    assert call["content"] == [{**good, "_meta": {"n": LONG}}]
    assert f'"n": "{LONG}"' in transcripts["e"]["calls"][0]["content"][0]["text"]
    (recorded_tool,) = done.record["server"]["tools"]
    assert recorded_tool["inputSchema"]["properties"]["key"]["x-max"] == LONG
    warnings = [line for line in done.stderr.splitlines() if WARNING in line]
    assert len(warnings) == len(set(warnings))
    assert sum("message (t)" in line for line in warnings) == 1
    replayed = run_mcprun("batch", "p.jsonl", RAW, "--model", f"replay:{done.run}", cwd=tmp_path)
    assert "Traceback" not in replayed.stderr
    assert run_mcprun("show", done.run, "a", cwd=tmp_path).code == 0


def test_long_integer_in_a_call_of_the_model_is_recorded_as_text(tmp_path: Path) -> None:
    """The input of the call is recorded with all digits, with one warning."""
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
        HttpReply(200, to_json({**head, **message([use], stop_reason="tool_use", usage=usage)})),
        text("Done."),
    ]
    with MessagesApi(lambda _: answers.pop(0)) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = run_mcprun("batch", "p.jsonl", PROMPTS / "quickstart.py", "--no-retry", cwd=tmp_path, env=env)
    (transcript,) = done.transcripts
    assert (transcript["verdict"], transcript["error"]) == ("failed", None)
    assert transcript["calls"][0]["input"] == {"a": LONG, "b": 1}
    assert done.stderr.count(WARNING) == 1


def test_prompts_file_with_a_long_integer_is_refused(tmp_path: Path) -> None:
    """`validate` reports the line, as it does for NaN, since the value could not be sent unchanged."""
    (tmp_path / "p.jsonl").write_text(
        f'{{"prompt": "?", "expect": {{"calls": [{{"tool": "t", "input": {{"n": {LONG}}}}}]}}}}\n'
    )
    done = run_mcprun("validate", "p.jsonl", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "p.jsonl:1: line: not JSON: a number has more than 4,300 digits\n")


def test_text_with_a_long_integer_does_not_match_json_schema(tmp_path: Path) -> None:
    """The text is not parsed as JSON, and the failed check gives the reason."""
    expect = {"text": {"json_schema": {"type": "object"}}}
    write_jsonl(tmp_path / "p.jsonl", script(text=f'{{"n": {LONG}}}', expect=expect))
    done = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path)
    (check,) = [item for item in done.transcripts[0]["checks"] if not item["passed"]]
    assert "more than 4,300 digits" in check["message"]
