"""Server requests with NaN, a lone surrogate or a long integer are recorded as text and answered."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mcprun._util.long_integers import WARNING
from tests.support.canned_bytes import COMPLETE, TRANSPORTS, calling, played, server_args
from tests.support.cli import SERVERS, run_mcprun, script, write_jsonl

LONG, NAN = "a number with many digits", "NaN, as a number"

DIGITS = "9" * 5000

MARK = "\ufffd"

META = {"n": LONG, "m": NAN}

FORM = {
    "message": "Which \ud800?",
    "requestedSchema": {
        "type": "object",
        "properties": {"a": {"type": "number", "default": NAN, "x-n": LONG, "title": "t\udfff"}},
    },
    "_meta": META,
}

SAMPLE = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "Say \ud800", "_meta": META}}],
    "maxTokens": 100, "temperature": NAN, "metadata": {"x": LONG}, "systemPrompt": "s\ud801",
}  # fmt: skip


def to_json(value: Any) -> str:
    """Return a value as JSON, with numbers that `json` does not write in place of `LONG` and `NAN`."""
    return json.dumps(value).replace(json.dumps(LONG), DIGITS).replace(json.dumps(NAN), "NaN")


def assert_recorded_as_text(form: dict[str, Any], sample: dict[str, Any] | None = None) -> None:
    """Assert that the recorded requests have their odd values as text."""
    (field,) = form["requestedSchema"]["properties"].values()
    assert (form["message"], field["default"], field["title"]) == (f"Which {MARK}?", "NaN", f"t{MARK}")
    assert field["x-n"] in (DIGITS, "many")
    if sample:
        assert (sample["temperature"], sample["systemPrompt"], sample["metadata"]) == ("NaN", f"s{MARK}", {"x": DIGITS})
        assert sample["messages"][0]["content"]["text"] == f"Say {MARK}"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_odd_values_in_input_requests_are_recorded_as_text(tmp_path: Path, transport: str) -> None:
    """This holds for input requests, prompts and resources in 2026-07-28, with one warning for each of them."""
    forms = {"x": {"method": "elicitation/create", "params": FORM}}
    samples = {"y": {"method": "sampling/createMessage", "params": SAMPLE}}
    text = {"type": "text", "text": "given \ud800", "_meta": META}
    results = {
        "form": {**COMPLETE, "resultType": "input_required", "inputRequests": forms, "requestState": "s"},
        "sample": {**COMPLETE, "resultType": "input_required", "inputRequests": samples, "requestState": "s"},
        "p": {**COMPLETE, "messages": [{"role": "user", "content": text}]},
        "x:r": {**COMPLETE, "contents": [{"uri": "x:r", "text": "given \ud800", "_meta": META}]},
    }
    turns = [{"text": "Done."}]
    queries = [
        calling("form", elicit=[{"content": {"a": 1}}]),
        calling("sample", sampling=["Yes."]),
        {"id": "p", "prompt": "go", "script": turns, "server_prompt": "p"},
        {"id": "x:r", "prompt": "go", "script": turns, "resources": ["x:r"]},
    ]
    prompts: dict[str, list[Any]] = {"prompts/list": [{"prompts": [{"name": "p"}]}]}
    file = server_args(tmp_path, "2026-07-28", {key: to_json(one) for key, one in results.items()}, prompts)
    done = played(tmp_path, file, transport, *queries, flags=("--elicit", "script", "--allow-tool-errors"))
    transcripts = {one["id"]: one for one in done.transcripts}
    assert [one["error"] for one in transcripts.values()] == [None] * 4
    assert_recorded_as_text(transcripts["form"]["asked"][0]["request"], transcripts["sample"]["asked"][0]["request"])
    assert transcripts["form"]["asked"][0]["answer"] == {"action": "accept", "content": {"a": 1}}
    for name in ("p", "x:r"):
        assert f"given {MARK}" in json.dumps(transcripts[name]["messages"][0], ensure_ascii=False)
    for subject in ("elicitation/create", "sampling/createMessage", 'prompt "p"', 'resource "x:r"'):
        assert sum(f"({subject}): {WARNING}" in line for line in done.stderr.splitlines()) == 1
        assert sum(f"({subject}) contains NaN" in line for line in done.stderr.splitlines()) == 1
    assert done.stderr.count("a lone surrogate") == 1


def test_odd_values_in_legacy_requests_are_recorded_as_text(tmp_path: Path) -> None:
    """A legacy server sends the form as a request of its own, over stdio."""
    form = json.loads(to_json(FORM).replace(DIGITS, '"many"'))
    offered = {"tools": [{"name": "ask", "inputSchema": {"type": "object"}}], "asks": {"ask": form}}
    (tmp_path / "offer").write_text(json.dumps(offered))
    queries = [script(("ask", {}), elicit=[{"content": {"a": 1}}]) | {"id": name} for name in "ab"]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    server = f"{sys.executable} {SERVERS / 'scripted.py'} offer"
    done = run_mcprun("batch", "p.jsonl", server, "--elicit", "script", cwd=tmp_path)
    assert done.verdicts == {"a": "passed", "b": "passed"}
    assert_recorded_as_text(done.transcripts[0]["asked"][0]["request"])
    assert (done.stderr.count("contains NaN"), done.stderr.count("a lone surrogate")) == (1, 1)
