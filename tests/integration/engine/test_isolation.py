"""A query that fails or cannot be rendered leaves other queries, files and reports intact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import run_mcprun, script, write_jsonl
from tests.support.odd_runs import odd

__all__ = ["odd"]


def nested_object(levels: int) -> Any:
    """Return an object nested `levels` deep."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_expected_value_may_be_nested_as_deeply_as_a_result(tmp_path: Path) -> None:
    """An `expect` value nested 197 levels deep is compared; 201 levels are rejected by `mcprun validate`."""
    deep = nested_object(197)
    query = script(("ok", {}), id="q", expect={"calls": [{"tool": "ok", "result": deep}]})
    prompts = write_jsonl(tmp_path / "p.jsonl", query)
    assert run_mcprun("batch", prompts, write_server(tmp_path, json.dumps(deep)), cwd=tmp_path).code == 0
    query["expect"] = {"calls": [{"tool": "ok", "result": nested_object(201)}]}
    done = run_mcprun("validate", write_jsonl(tmp_path / "q.jsonl", query), cwd=tmp_path)
    assert done.code == 2
    assert "q.jsonl:1: expect.calls[0].result: is nested more than 200 levels deep" in done.stderr


def write_server(folder: Path, text: str) -> Path:
    """Write a server whose only tool returns `text`."""
    server = folder / "server.py"
    server.write_text(
        "from mcp.server import MCPServer\nserver = MCPServer('s')\n\n@server.tool(structured_output=False)\n"
        f"def ok() -> str:\n    return {text!r}\n\nserver.run()\n"
    )
    return server


def test_reports_include_the_queries_that_can_be_rendered(odd: Path) -> None:
    """Every report format is written, includes the failed check, and counts the same tests and failures."""
    forms = ("html", "junit", "markdown", "csv", "tap")
    flags = [flag for form in forms for flag in (f"--{form}", f"r.{form}")]
    done = run_mcprun("report", "head", *flags, cwd=odd)
    assert (done.code, done.stderr) == (0, "")
    for form in forms:
        text = (odd / f"r.{form}").read_text()
        assert "why it failed" in text.replace("&#32;", " "), form
    junit = (odd / "r.junit").read_text()
    assert 'tests="4" failures="1" errors="0"' in junit


@pytest.mark.parametrize("query", ["odd", "worse", "last"])
def test_show_opens_queries_that_cannot_be_rendered(odd: Path, query: str) -> None:
    """`mcprun show` lists every query of the run and opens each one."""
    listed, opened = (run_mcprun("show", "head", *names, cwd=odd) for names in (("--all",), (query,)))
    assert (listed.code, opened.code, listed.stderr, opened.stderr) == (0, 0, "", "")
    rows = [line.split()[1] for line in listed.stdout.splitlines()[1:] if line.startswith(("passed", "failed"))]
    assert rows == ["worse", "plain", "odd", "last"]


@pytest.mark.parametrize("flags", [(), ("--json",), ("--markdown",), ("--html", "d.html"), ("--scrub", "uuid")])
def test_results_that_cannot_be_compared_count_as_changed(odd: Path, flags: tuple[str, ...]) -> None:
    """`mcprun diff` reports such queries as changed and still compares the other queries."""
    done = run_mcprun("diff", "base", "head", *flags, cwd=odd)
    assert (done.code, done.stderr.replace("d.html", "").count("Error")) == (1, 0)
    for name in ("plain", "odd", "worse"):
        assert name in done.stdout


ODD_NUMBERS = """
import json, sys

TOOL = ('{"name": "t", "inputSchema": {"type": "object", "properties": {"x": {"default": NaN}}},'
        ' "outputSchema": {"type": "object", "properties": {"n": {"multipleOf": 0.01}}}}')
INFO = '{"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}'
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, result = message["method"], None
    if method == "initialize":
        result = INFO
    elif method == "tools/list":
        result = '{"tools": [%s]}' % TOOL
    elif method == "tools/call":
        result = '{"content": [], "structuredContent": {"n": %s}}' % message["params"]["arguments"]["n"]
    answer = '"result": %s' % result if result else '"error": {"code": -32601, "message": "no"}'
    print('{"jsonrpc": "2.0", "id": %s, %s}' % (json.dumps(message["id"]), answer), flush=True)
"""


def test_non_finite_numbers_fail_only_their_own_call(tmp_path: Path) -> None:
    """NaN and infinities fail only their own query and are written as strings, so that all files are strict JSON."""
    (tmp_path / "odd.py").write_text(ODD_NUMBERS)
    numbers = ["NaN", "Infinity", "-1e400", "1" * 401, "1"]
    queries = [script(("t", {"n": number}), id=f"{at}") for at, number in enumerate(numbers)]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", "p.jsonl", "odd.py", cwd=tmp_path)
    assert {done.verdicts[name] for name in "012"} == {"failed"}
    assert (done.verdicts["4"], done.record["counts"]["error"]) == ("passed", 0)
    structured = [one["calls"][0]["structured"]["n"] for one in done.transcripts[:3]]
    assert structured == ["NaN", "Infinity", "-Infinity"]
    (tool,) = done.record["server"]["tools"]
    assert tool["inputSchema"]["properties"]["x"]["default"] == "NaN"
    for file in ("run.json", "transcripts.jsonl", "trace.jsonl"):
        for line in (
            (done.run / file).read_text().splitlines() if file != "run.json" else [(done.run / file).read_text()]
        ):
            json.loads(line, parse_constant=pytest.fail)
