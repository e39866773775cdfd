"""What would pass without checking anything: misspelt keywords, and patterns that fit no tool, are warned of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcprun.checks.misspelt_keywords import KEYWORDS, misspelt
from mcprun.tools.toolset import ToolFilter, unmatched
from tests.support.cli import RAW, run_mcprun, script, write_jsonl


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"requried": ["a"]}, [("$", "requried", "required")]),
        ({"propertys": {}}, [("$", "propertys", "properties")]),
        ({"additionalproperties": False}, [("$", "additionalproperties", "additionalProperties")]),
        ({"properties": {"a": {"minlenght": 1}}}, [("$.properties.a", "minlenght", "minLength")]),
        ({"anyOf": [{}, {"items": {"maximun": 1}}]}, [("$.anyOf[1].items", "maximun", "maximum")]),
        ({"$defs": {"a": {"typ": "string"}}}, [("$.$defs.a", "typ", "type")]),
        ({"properties": {"requried": {}, "propertys": True}}, []),
        ({"default": {"requried": 1}, "examples": [{"typ": 1}], "enum": [{"typ": 1}]}, []),
        ({"x-requried": 1, "nullable": True, "markdownDescription": "", "propertyOrder": 1, "example": 2}, []),
        ({keyword: {} for keyword in KEYWORDS}, []),
        (True, []),
    ],
)
def test_misspelt_keywords_are_found_where_there_are_schemas(schema: Any, message: list[tuple[str, str, str]]) -> None:
    """With what is probably meant; annotations and plain values are nobody's mistake."""
    expected = [
        f"at {at}: {key!r} is not a JSON Schema keyword and has no effect; did you mean {meant!r}?"
        for at, key, meant in message
    ]
    assert list(misspelt(schema)) == expected


def test_patterns_that_fit_no_tool() -> None:
    """Those of flags, and those of queries with the query's id."""
    permit = ToolFilter(allow=("read_*", "wirte_*"), deny=("delete_*",))
    patterns = {("expect.never", "delete_*"): "q", ("tools", "read_?ile"): "r"}
    assert list(unmatched(permit, patterns, [{"name": "read_file"}, {"name": "write_file"}])) == [
        "--allow-tool: 'wirte_*' matches no tool of the server; list them with mcprun tools",
        "--deny-tool: 'delete_*' matches no tool of the server; list them with mcprun tools",
        "expect.never of query 'q': 'delete_*' matches no tool of the server; list them with mcprun tools",
    ]


def test_commands_warn_of_both(tmp_path: Path) -> None:
    """`validate` of the schema, `batch` of the schema and of the tools, each once; nothing else changes."""
    schema = {"type": "object", "requried": ["a"]}
    queries = [
        script(id=name, text="{}", expect={"text": {"json_schema": schema}, "never": ["dei*", "ok*"]}) for name in "ab"
    ]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("validate", "p.jsonl", cwd=tmp_path)
    text = "expect.text.json_schema: at $: 'requried' is not a JSON Schema keyword and has no effect"
    warned = [f"Warning: p.jsonl:{line}: {text}; did you mean 'required'?" for line in (1, 2)]
    assert (done.code, done.stderr.splitlines()) == (0, warned)
    ran = run_mcprun("batch", "p.jsonl", RAW, "--deny-tool", "nope", cwd=tmp_path)
    assert ran.code == 0
    tools = [
        "Warning: --deny-tool: 'nope' matches no tool of the server; list them with mcprun tools",
        "Warning: expect.never of query 'a': 'dei*' matches no tool of the server; list them with mcprun tools",
    ]
    lines = [line for line in ran.stderr.splitlines() if line.startswith("Warning: ")]
    assert lines == [*warned, *tools]
    traced = [event["message"] for event in ran.trace if event["event"] == "warning"]
    assert [f"Warning: {message}" for message in traced] == lines
    assert json.loads(prompts.read_bytes().splitlines()[0])["id"] == "a"
