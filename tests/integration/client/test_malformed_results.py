"""A run keeps the readable parts of malformed results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.canned_bytes import ERAS, TOOL, TRANSPORTS, calling, played, server_args

FINE = {"type": "text", "text": "fine"}

PNG = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}


def without(block: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the block without one key."""
    return {name: value for name, value in block.items() if name != key}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_readable_parts_of_malformed_results_are_kept(tmp_path: Path, era: str, transport: str) -> None:
    """A malformed call result is an error of the tool.

    A malformed prompt or resource fails its query. Structured content alone is valid.
    """
    prompt = {"messages": [{"role": "user", "content": FINE}, {"role": "user", "content": without(PNG, "data")}]}
    results: dict[str, Any] = {
        "structured": {"structuredContent": {"a": 1}},
        "nothing": {},
        "image": {"content": [FINE, without(PNG, "data")]},
        "list": {"content": None},
        "flag": {"content": [FINE], "isError": "no"},
        "null": "null", "number": "5", "array": "[]", "word": '"ok"',
        "p": prompt, "empty": {}, "bad": {"messages": ["hi"]},
        "x://y": {"contents": [{"uri": "x://y", "text": "rules"}, {"text": "no uri"}]}, "x://z": {},
    }  # fmt: skip
    turns = [{"text": "Done."}]
    queries: list[dict[str, Any]] = [
        calling(key) for key in results if key not in ("p", "empty", "bad") and ":" not in key
    ]
    queries += [{"id": name, "server_prompt": name, "prompt": "go", "script": turns} for name in ("p", "empty", "bad")]
    queries += [{"id": uri, "resources": [uri], "prompt": "go", "script": turns} for uri in ("x://y", "x://z")]
    done = played(tmp_path, server_args(tmp_path, era, results), transport, *queries, flags=["--allow-tool-errors"])
    transcripts = {transcript["id"]: transcript for transcript in done.transcripts}
    assert done.verdicts == {
        **dict.fromkeys(["structured", "nothing", "image", "list", "flag", "null", "number", "array", "word"], "passed"),
        "p": "failed", "x://y": "failed", "empty": "error", "bad": "error", "x://z": "error",
    }  # fmt: skip
    calls = {name: transcript["calls"][0] for name, transcript in transcripts.items() if transcript["calls"]}
    assert (calls["structured"]["is_error"], calls["structured"]["structured"]) == (False, {"a": 1})
    assert transcripts["structured"]["messages"][2]["content"][0]["content"] == [{"type": "text", "text": '{"a": 1}'}]
    assert all(call["is_error"] for name, call in calls.items() if name != "structured")
    assert [block["text"].partition(" in {")[0] for block in calls["image"]["content"]] == [
        "fine",
        "The server sent an invalid result: content[1] (image): data is missing",
    ]
    assert "content is missing" in calls["nothing"]["content"][0]["text"]
    assert "isError is text, not true or false" in calls["flag"]["content"][1]["text"]
    assert transcripts["p"]["messages"][0]["content"][0]["text"] == "fine"
    assert "messages[1].content (image): data is missing" in transcripts["p"]["checks"][-1]["message"]
    assert "contents[1]: uri is missing" in transcripts["x://y"]["checks"][-1]["message"]
    assert "rules" in transcripts["x://y"]["messages"][0]["content"][0]["text"]
    assert transcripts["empty"]["error"]["message"].endswith("the server sent an invalid result: messages is missing")
    assert transcripts["x://z"]["error"]["message"].endswith("the server sent an invalid result: contents is missing")
    problems = {
        event.get("tool") or event.get("prompt") or event.get("uri"): event["problem"]
        for event in done.trace
        if "problem" in event
    }
    assert {problems[name] for name in ("p", "empty", "x://y", "x://z")} == {"invalid result"}
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_output_schema_violation_is_sent_with_its_reason_and_path(tmp_path: Path, transport: str) -> None:
    """The model gets neither the schema nor the value a second time, however long they are."""
    rows = {"items": {"properties": {"k" * 999: {"enum": ["x" * 99] * 99}}}, "maxItems": 500}
    listed = {**TOOL, "outputSchema": {"type": "object", "required": ["total"], "properties": {"rows": rows}}}
    results = {
        "lacks": {"rows": [{"label": f"row {number}"} for number in range(400)]},
        "long": {"total": 1, "rows": [{"label": f"row {number}"} for number in range(600)]},
        "deep": {"total": 1, "rows": [{}, {"k" * 999: "y" * 999}]},
    }
    sent = {key: {"content": [FINE], "structuredContent": value} for key, value in results.items()}
    file = server_args(tmp_path, "legacy", sent, {"tools/list": [{"tools": [listed]}]})
    done = played(tmp_path, file, transport, *map(calling, sent), flags=("--max-result-bytes", "20000"))
    prefix = "The result does not fit the tool's own output schema: at "
    reasons = {
        "lacks": "$: 'total' is a required property",
        "long": "$.rows: a list of 600 items does not match 'maxItems': 500",
        "deep": "$.rows[1].(a key of 999 characters): a string of 999 characters does not match 'enum': a list of 99 items",
    }
    for transcript in done.transcripts:
        texts = [FINE["text"], prefix + reasons[transcript["id"]]]
        assert [item["text"] for item in transcript["calls"][0]["content"]] == texts
        (result,) = transcript["messages"][2]["content"]
        assert [item["text"] for item in result["content"]] == texts
