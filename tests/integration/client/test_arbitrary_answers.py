"""Any answer of a server costs at most the query that it answers, and every file stays strict JSON in UTF-8."""

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
"""Stands for `1e400` until a result is written."""

LONG = "an integer that Python does not convert"
"""Stands for 4,400 digits."""

anything = st.characters(categories=("L", "M", "N", "P", "S", "Z", "C")) | st.sampled_from(
    "\0\x1b\ud800\udc00\uffff\u2028\U0010ffff"
)

texts = st.text(anything, max_size=8)

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

words = {
    "text": texts | values, "data": st.sampled_from(["AAAA", "iVBORw0KGgo=", "not base64"]) | values,
    "mimeType": st.sampled_from(["image/png", "audio/wav", "text/plain", "application/pdf"]) | values,
    "uri": st.just("x://y") | values, "blob": st.just("AAAA") | values, "name": texts | values,
    "annotations": values, "_meta": values, "title": values, "size": numbers | values, "description": values,
}  # fmt: skip

contents = st.fixed_dictionaries({}, optional={key: words[key] for key in ("uri", "text", "blob", "mimeType", "_meta")})

blocks = st.fixed_dictionaries({}, optional={**words, "type": types, "resource": contents | values}) | values

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


def examples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Draw so many values, to be tried in one run."""
    found: list[Any] = []

    @settings(max_examples=count, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def written(value: Any, number: int, era: str) -> str:
    """Write a result as JSON text, every other one without escapes; most of them are complete."""
    if era != "legacy" and isinstance(value, dict) and number % 4:
        value = {**COMPLETE, **value}
    text = json.dumps(value, ensure_ascii=bool(number % 2))
    return text.replace(json.dumps(HUGE), "1e400").replace(json.dumps(LONG), "7" * 4400)


def strict(text: str) -> Any:
    """Read JSON as RFC 8259 has it: without NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_answer_is_a_fault_of_ours(tmp_path: Path, transport: str, era: str) -> None:
    """Hundreds of answers to calls, prompts and resources, in one run; then what is read of it."""
    count = 50 if transport == "stdio" else 20
    found = {
        "c": examples(calls | values, 3 * count),
        "p": examples(prompts | values, count),
        "r": examples(resources | values, count),
    }
    results = {
        f"{kind}:{number}": written(value, number, era)
        for kind, drawn in found.items()
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
    transcripts = [strict(line) for line in (run / "transcripts.jsonl").read_bytes().decode().split("\n") if line]
    assert len(transcripts) == len(queries)
    faults = [one for one in transcripts if (one["error"] or {}).get("kind") not in (None, "prompts")]
    assert [(one["id"], one["error"], results[one["id"]]) for one in faults] == []
    assert "Traceback" not in done.stdout + done.stderr
    for line in filter(None, (run / "trace.jsonl").read_bytes().decode().split("\n")):
        strict(line)
    strict((run / "run.json").read_text("utf-8"))

    shutil.copytree(run, tmp_path / "copy")
    diff = run_mcprun("diff", "copy", "run", cwd=tmp_path)
    assert (diff.code, "Traceback" in diff.stderr) == (0, False)
    report = run_mcprun("report", "run", "--html", "r.html", "--junit", "r.xml", "--markdown", "r.md", cwd=tmp_path)
    assert (report.code, report.stderr) == (0, "")
    for name in ("r.html", "r.xml", "r.md"):
        (tmp_path / name).read_text("utf-8")
