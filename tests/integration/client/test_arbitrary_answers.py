"""An arbitrary answer of a server affects at most its own query, and every file stays strict JSON in UTF-8."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.canned_bytes import COMPLETE, ERAS, TRANSPORTS, calling, played, server_args
from tests.support.cli import run_mcprun

HUGE = "a number that no double holds"
"""Replaced by `1e400` when a result is serialised."""

LONG = "an integer that Python does not convert"
"""Replaced by 4,400 digits when a result is serialised."""

characters = st.characters(categories=("L", "M", "N", "P", "S", "Z", "C")) | st.sampled_from(
    "\0\x1b\ud800\udc00\uffff\u2028\U0010ffff"
)

texts = st.text(characters, max_size=8)

numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([10**400, -(10**401), HUGE, LONG, -0.0, 1e308, 5e-324, float("nan"), 2**63])
)

leaves = st.none() | st.booleans() | numbers | texts

values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)

types = st.sampled_from(["text", "image", "audio", "resource", "resource_link", "json", "tool_use"]) | values

fields = {
    "text": texts | values, "data": st.sampled_from(["AAAA", "iVBORw0KGgo=", "not base64"]) | values,
    "mimeType": st.sampled_from(["image/png", "audio/wav", "text/plain", "application/pdf"]) | values,
    "uri": st.just("x://y") | values, "blob": st.just("AAAA") | values, "name": texts | values,
    "annotations": values, "_meta": values, "title": values, "size": numbers | values, "description": values,
}  # fmt: skip

contents = st.fixed_dictionaries(
    {}, optional={key: fields[key] for key in ("uri", "text", "blob", "mimeType", "_meta")}
)

blocks = st.fixed_dictionaries({}, optional={**fields, "type": types, "resource": contents | values}) | values

calls = st.fixed_dictionaries({}, optional={
    "content": st.lists(blocks, max_size=3) | values, "structuredContent": values, "isError": st.booleans() | values,
    "_meta": values, "resultType": st.sampled_from(["complete", "input_required"]) | values, "inputRequests": values,
})  # fmt: skip

messages = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["user", "assistant"]) | values, "content": blocks}
)

prompts = st.fixed_dictionaries(
    {}, optional={"messages": st.lists(messages | values, max_size=3) | values, "description": values}
)

resources = st.fixed_dictionaries(
    {}, optional={"contents": st.lists(contents | values, max_size=3) | values, "_meta": values}
)


def draw_examples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Draw `count` values, to be used in one run."""
    drawn: list[Any] = []

    @settings(max_examples=count, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: Any) -> None:
        drawn.append(value)

    collect()
    return drawn


def to_json(value: Any, number: int, era: str) -> str:
    """Return a result as JSON text, every other one without escapes. Three in four modern ones are complete."""
    if era != "legacy" and isinstance(value, dict) and number % 4:
        value = {**COMPLETE, **value}
    text = json.dumps(value, ensure_ascii=bool(number % 2))
    return text.replace(json.dumps(HUGE), "1e400").replace(json.dumps(LONG), "7" * 4400)


def parse_strict(text: str) -> Any:
    """Parse JSON as RFC 8259 defines it: without NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_answer_causes_an_internal_error(tmp_path: Path, transport: str, era: str) -> None:
    """One run gets hundreds of arbitrary answers to calls, prompts and resources. `diff` and `report` then read it."""
    count = 50 if transport == "stdio" else 20
    examples_by_kind = {
        "c": draw_examples(calls | values, 3 * count),
        "p": draw_examples(prompts | values, count),
        "r": draw_examples(resources | values, count),
    }
    results = {
        f"{kind}:{number}": to_json(value, number, era)
        for kind, drawn in examples_by_kind.items()
        for number, value in enumerate(drawn)
    }
    turns = [{"text": "Done."}]
    queries = [
        calling(key) if key[0] == "c"
        else {"id": key, "prompt": "go", "script": turns, **({"server_prompt": key} if key[0] == "p" else {"resources": [key]})}
        for key in results
    ]  # fmt: skip
    flags = ["--out", "run", "--allow-tool-errors", "--concurrency", "8"]
    done = played(tmp_path, server_args(tmp_path, era, results), transport, *queries, flags=flags)
    run = tmp_path / "run"
    transcripts = [parse_strict(line) for line in (run / "transcripts.jsonl").read_bytes().decode().split("\n") if line]
    assert len(transcripts) == len(queries)
    faults = [
        transcript for transcript in transcripts if (transcript["error"] or {}).get("kind") not in (None, "prompts")
    ]
    assert [(transcript["id"], transcript["error"], results[transcript["id"]]) for transcript in faults] == []
    assert "Traceback" not in done.stdout + done.stderr
    for line in filter(None, (run / "trace.jsonl").read_bytes().decode().split("\n")):
        parse_strict(line)
    parse_strict((run / "run.json").read_text("utf-8"))

    shutil.copytree(run, tmp_path / "copy")
    diff = run_mcprun("diff", "copy", "run", cwd=tmp_path)
    assert (diff.code, "Traceback" in diff.stderr) == (0, False)
    report = run_mcprun("report", "run", "--html", "r.html", "--junit", "r.xml", "--markdown", "r.md", cwd=tmp_path)
    assert (report.code, report.stderr) == (0, "")
    for name in ("r.html", "r.xml", "r.md"):
        (tmp_path / name).read_text("utf-8")
