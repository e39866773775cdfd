"""Servers' JSON that is nested too deeply, or holds numbers with too many digits: what is beside it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_text import index_of, levels
from mcprun._util.nesting import MAX_DEPTH, TOO_DEEP, cut_off, parsed_leniently
from tests.support.canned_bytes import ERAS, TRANSPORTS, server_args, serving
from tests.support.cli import run_mcprun, script, write_jsonl

JSON = st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


def nested(count: int) -> str:
    """Write lists in lists."""
    return "[" * count + "]" * count


@given(JSON, st.booleans())
def test_what_is_not_deep_stays_as_it_is(value: Any, is_ascii: bool) -> None:
    """Brackets and quotes within strings nest nothing."""
    text = json.dumps(value, ensure_ascii=is_ascii)
    assert text == cut_off(text)
    assert value == parsed_leniently(text)


@pytest.mark.parametrize("count", [MAX_DEPTH + 1, MAX_DEPTH + 2, 5000, 200_000])
def test_what_is_deep_is_cut_off_and_still_counts_as_deep(count: int) -> None:
    """However deep it is, and whatever stands beside it."""
    text = f'{{"a":{nested(count)},"b":[{nested(count)},"]"],"c":1}}'
    found = parsed_leniently(text)
    assert MAX_DEPTH < levels(found) <= MAX_DEPTH + 2
    assert (list(found), found["c"], found["b"][1]) == (["a", "b", "c"], 1, "]")


@pytest.mark.parametrize("bad", [nested(5000), nested(MAX_DEPTH)])
def test_a_deep_field_of_an_item_costs_no_other_item(bad: str) -> None:
    """It is replaced; what the list holds besides stays."""
    text = f'{{"id":1,"result":{{"tools":[{{"name":"a","inputSchema":{bad}}},{{"name":"b"}},{bad}]}}}}'
    tools = parsed_leniently(text)["result"]["tools"]
    assert tools == [{"name": "a", "inputSchema": TOO_DEEP}, {"name": "b"}, TOO_DEEP]


def test_a_step_of_a_pointer_that_is_no_index_means_nothing() -> None:
    """Not even one with more digits than Python reads, or with digits of another script."""
    items = list("abc")
    assert [index_of(step, items) for step in ("0", "2", "3", "01", "00")] == [0, 2, None, None, None]
    for step in ("9" * 5000, "\u0661", "-1", "", "x"):
        assert index_of(step, items) is None


@pytest.mark.parametrize("where", ["script", "$ref"])
def test_a_pointer_into_a_list_with_many_digits_is_no_fault(tmp_path: Path, where: str) -> None:
    """A script's is the error of its query, a server's leaves its schema as it is."""
    far = f"/content/{'9' * 5000}"
    turns = [
        {"calls": [{"tool": "t", "input": {"key": "a"}}]},
        {"calls": [{"tool": "t", "input": {"x": {"$from": 0, "path": far}}}]},
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
def test_one_tool_that_is_too_deep_costs_no_other_tool(tmp_path: Path, transport: str, era: str) -> None:
    """It is left out by name, with the reason. A number that nobody can read costs not even its own tool."""
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
