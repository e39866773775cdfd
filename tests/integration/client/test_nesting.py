"""One deeply nested value from a server leaves everything around it intact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.canned_bytes import ERAS, TRANSPORTS, server_args, serving
from tests.support.cli import run_mcprun, script, write_jsonl


def nested(count: int) -> str:
    """Return `count` nested lists as JSON."""
    return "[" * count + "]" * count


@pytest.mark.parametrize("where", ["script", "$ref"])
def test_pointer_with_a_huge_index_is_not_an_internal_error(tmp_path: Path, where: str) -> None:
    """In a script, such a pointer is the error of its query. In a server's schema, it is left as it is."""
    pointer = f"/content/{'9' * 5000}"
    turns = [
        {"calls": [{"tool": "t", "input": {"key": "a"}}]},
        {"calls": [{"tool": "t", "input": {"x": {"$from": 0, "path": pointer}}}]},
    ]
    query = {"id": "q", "prompt": "?", "script": [*turns, {"text": "Done."}]}
    write_jsonl(
        tmp_path / "p.jsonl", query if where == "script" else script(("t", {"key": "a"}), id="q"), script(id="good")
    )
    schema = {"type": "object", "anyOf": [{"type": "object"}], "properties": {"key": {"$ref": f"#/anyOf/{'9' * 5000}"}}}
    tool = {"name": "t", "inputSchema": schema if where == "$ref" else {"type": "object"}}
    results = {"a": {"content": [{"type": "text", "text": "x"}]}}
    with serving(server_args(tmp_path, "legacy", results, {"tools/list": [{"tools": [tool]}]}), "stdio") as server:
        done = run_mcprun("batch", "p.jsonl", server[0], "--model", "script", *server[1:], cwd=tmp_path)
    assert "error in mcprun" not in done.stdout + done.stderr
    assert done.verdicts["good"] == "passed"
    assert done.verdicts["q"] == ("error" if where == "script" else "passed")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_only_the_tool_that_is_nested_too_deeply_is_left_out(tmp_path: Path, transport: str, era: str) -> None:
    """The tool is left out by name, with the reason. A tool with an integer that is too long to parse is kept."""
    deep = '{"not":' * 3000 + "{}" + "}" * 3000
    tools = [
        '{"name":"good","inputSchema":{"type":"object"}}',
        f'{{"name":"deep","inputSchema":{{"type":"object","properties":{{"a":{deep}}}}}}}',
        f'{{"name":"long","inputSchema":{{"type":"object","properties":{{"a":{{"maximum":{"9" * 5000}}}}}}}}}',
        f'{{"name":"noted","inputSchema":{{"type":"object"}},"_meta":{{"a":{nested(3000)}}}}}',
    ]
    frame = '"resultType":"complete","ttlMs":0,"cacheScope":"private",' if era != "legacy" else ""
    page = f'{{{frame}"tools":[{",".join(tools)}]}}'
    with serving(server_args(tmp_path, era, pages={"tools/list": [page]}), transport) as server:
        done = run_mcprun("tools", "--json", *server, cwd=tmp_path)
    assert [tool["name"] for tool in json.loads(done.stdout)["tools"]] == ["good", "long", "noted"]
    assert "tool 'deep' is left out: inputSchema is nested more than 200 deep" in done.stderr
    assert "tool 'noted': _meta is nested more than 200 deep; that is ignored" in done.stderr
