"""One failing query leaves its neighbours, the files and the reports intact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cli import run_mcprun, script, write_jsonl
from tests.support.odd_runs import odd

__all__ = ["odd"]

if TYPE_CHECKING:
    pass


def in_objects(levels: int) -> Any:
    """Make an object in an object."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_an_expected_value_may_be_as_deep_as_a_result(tmp_path: Path) -> None:
    """Deeper ones are refused before anything is run, however deep the stack is where they are compared."""
    deep = in_objects(197)
    query = script(("ok", {}), id="q", expect={"calls": [{"tool": "ok", "result": deep}]})
    prompts = write_jsonl(tmp_path / "p.jsonl", query)
    assert run_mcprun("batch", prompts, write_server(tmp_path, json.dumps(deep)), cwd=tmp_path).code == 0
    query["expect"] = {"calls": [{"tool": "ok", "result": in_objects(201)}]}
    done = run_mcprun("validate", write_jsonl(tmp_path / "q.jsonl", query), cwd=tmp_path)
    assert done.code == 2
    assert "q.jsonl:1: expect.calls[0].result: is nested more than 200 levels deep" in done.stderr


def write_server(folder: Path, text: str) -> Path:
    """Write a server whose only tool answers with a text."""
    server = folder / "server.py"
    server.write_text(
        "from mcp.server import MCPServer\nserver = MCPServer('s')\n\n@server.tool(structured_output=False)\n"
        f"def ok() -> str:\n    return {text!r}\n\nserver.run()\n"
    )
    return server


def test_each_report_shows_the_others_of_a_query_that_can_not_be_rendered(odd: Path) -> None:
    """All forms are written, they agree with the run's exit code, and say why something is missing."""
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
def test_show_tells_what_it_can_not_show(odd: Path, query: str) -> None:
    """Every query of the run is listed, and opened."""
    listed, opened = (run_mcprun("show", "head", *names, cwd=odd) for names in ((), (query,)))
    assert (listed.code, opened.code, listed.stderr, opened.stderr) == (0, 0, "", "")
    assert [line.split()[1] for line in listed.stdout.splitlines()[1:5]] == ["plain", "odd", "worse", "last"]


@pytest.mark.parametrize("flags", [(), ("--json",), ("--markdown",), ("--html", "d.html"), ("--scrub", "uuid")])
def test_what_can_not_be_compared_is_a_difference(odd: Path, flags: tuple[str, ...]) -> None:
    """It is never the same, and the other queries are compared."""
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
    told = '"result": %s' % result if result else '"error": {"code": -32601, "message": "no"}'
    print('{"jsonrpc": "2.0", "id": %s, %s}' % (json.dumps(message["id"]), told), flush=True)
"""


def test_numbers_that_can_not_be_calculated_with_fail_their_own_call(tmp_path: Path) -> None:
    """Whatever the server's own schema asks of them; the files are strict JSON, and null is nowhere in their place."""
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
