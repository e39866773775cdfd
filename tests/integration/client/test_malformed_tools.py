"""Tools that violate MCP are left out by name, and the others work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.canned_bytes import ERAS, TOOL, TRANSPORTS, calling, played, server_args, serving
from tests.support.cli import run_mcprun

OBJECT = {"type": "object"}

FINE = {"content": [{"type": "text", "text": "fine"}]}


def bad(**more: Any) -> dict[str, Any]:
    """Build a valid tool called `bad` with fields replaced; `...` removes a field."""
    tool = {"name": "bad", "description": "Do something that is bad.", "inputSchema": OBJECT, **more}
    return {key: value for key, value in tool.items() if value is not ...}


LEFT_OUT: tuple[tuple[Any, str, str], ...] = (
    (bad(inputSchema=...), "bad", "is left out: inputSchema is missing"),
    (bad(inputSchema=None), "bad", "is left out: inputSchema is null, not an object"),
    (bad(inputSchema="object"), "bad", "is left out: inputSchema is text, not an object"),
    (bad(inputSchema=[]), "bad", "is left out: inputSchema is a list, not an object"),
    (bad(inputSchema=True), "bad", "is left out: inputSchema is true, not an object"),
    (bad(inputSchema={}), "bad", 'is left out: inputSchema.type is missing, and must be "object"'),
    (bad(inputSchema={"anyOf": [OBJECT]}), "bad", 'is left out: inputSchema.type is missing, and must be "object"'),
    (bad(inputSchema={"type": "array"}), "bad", 'is left out: inputSchema.type is "array", and must be "object"'),
    (bad(inputSchema={"type": ["object", "null"]}), "bad", 'is left out: inputSchema.type is ["object", "null"], and'),
    (bad(inputSchema={"type": None}), "bad", 'is left out: inputSchema.type is null, and must be "object"'),
    (bad(inputSchema={**OBJECT, "properties": None}), "bad", "is left out: inputSchema.properties is null, not an"),
    (bad(inputSchema={**OBJECT, "properties": []}), "bad", "is left out: inputSchema.properties is a list, not an"),
    (bad(inputSchema={**OBJECT, "properties": {"a": 5}}), "bad", "is left out: "),
    (bad(inputSchema={**OBJECT, "properties": {"a": {"type": "strnig"}}}), "bad", "is left out: "),
    (bad(inputSchema={**OBJECT, "required": "a"}), "bad", "is left out: inputSchema.required is text, not a list"),
    (bad(inputSchema={**OBJECT, "required": [1]}), "bad", "is left out: "),
    (bad(outputSchema={**OBJECT, "required": "a"}), "bad", "is left out: "),
    (bad(outputSchema={**OBJECT, "properties": None}), "bad", "is left out: "),
    (bad(outputSchema="object"), "bad", "is left out: outputSchema is text, not an object"),
    (bad(description=5), "bad", "is left out: description is a number, not text"),
    (bad(description=["a"]), "bad", "is left out: description is a list, not text"),
    (bad(name=...), "tools[1]", "is left out: name is missing"),
    (bad(name=""), "tools[1]", "is left out: name is empty"),
    (bad(name=None), "tools[1]", "is left out: name is null, not text"),
    (bad(name={"a": 1}), "tools[1]", "is left out: name is an object, not text"),
    ("bad", "tools[1]", "is left out: it is text, not an object"),
    (None, "tools[1]", "is left out: it is null, not an object"),
    ([TOOL], "tools[1]", "is left out: it is a list, not an object"),
)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("tool", "name", "message"), LEFT_OUT, ids=str)
def test_malformed_tool_does_not_affect_the_others(
    tmp_path: Path, era: str, tool: Any, name: str, message: str
) -> None:
    """`tools` lists the others, and `--lint` names the malformed one first and once."""
    with serving(server_args(tmp_path, era, pages={"tools/list": [{"tools": [TOOL, tool]}]}), "stdio") as (
        server,
        *more,
    ):
        done = run_mcprun("tools", server, "--lint", "--json", *more, cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (done.code, done.stderr) == (1, "")
    assert list(data["tokens"]["tools"]) == ["t"]
    first = data["findings"][0]
    assert (first["tool"], first["severity"], first["message"][: len(message)]) == (name, "error", message)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_server_with_malformed_tools_is_usable(tmp_path: Path, era: str, transport: str) -> None:
    """A run, the list, a snapshot, a comparison with it, and `init` work, whatever page the malformed tools are on."""
    tools = [tool for tool, _, _ in LEFT_OUT]
    pages: list[Any] = [{"tools": [*tools, TOOL], "nextCursor": "1"}, {"tools": [{**TOOL, "name": "u"}, *tools]}]
    file = server_args(tmp_path, era, {"fine": FINE}, {"tools/list": pages})
    done = played(tmp_path, file, transport, calling("fine"))
    assert (done.code, done.verdicts) == (0, {"fine": "passed"})
    assert {tool["name"] for tool in done.record["server"]["tools"]} <= {"t", "u", "bad"}
    assert {finding["rule"] for finding in done.record["server"]["malformed"]} == {"malformed"}
    assert "tool 'bad' is left out: inputSchema is missing" in done.stdout + done.stderr
    with serving(file, transport) as (server, *more):
        for flags in (["--snapshot", "s.json"], ["--against", "s.json", "--strict"], []):
            listing = run_mcprun("tools", server, *flags, *more, cwd=tmp_path)
            assert (listing.code, "Traceback" in listing.stderr) == (0, False)
            assert "Warning: tool 'bad' is left out: description is a number, not text" in listing.stderr
        init = run_mcprun("init", server, "--prompts", "first.jsonl", "--no-workflow", *more, cwd=tmp_path)
        assert (init.code, "Traceback" in init.stderr) == (0, False)


@pytest.mark.parametrize("era", ERAS)
def test_server_with_only_malformed_tools_has_no_tools(tmp_path: Path, era: str) -> None:
    """The run is that of a server without tools, with a warning for each malformed one."""
    file = server_args(tmp_path, era, pages={"tools/list": [{"tools": [bad(inputSchema=...), None]}]})
    query = {"id": "q", "prompt": "Hi.", "script": [{"text": "Hello."}]}
    done = played(tmp_path, file, "stdio", query)
    assert (done.code, done.record["server"]["tools"]) == (0, [])
    assert done.record["server"]["warnings"] == [
        "tool 'bad' is left out: inputSchema is missing",
        "tool 'tools[1]' is left out: it is null, not an object",
    ]


def test_tool_that_becomes_malformed_is_reported(tmp_path: Path) -> None:
    """A changed list of tools is validated as the first one was."""
    change = {**TOOL, "name": "change"}
    pages = {"tools/list": [{"tools": [TOOL, change, bad()]}]}
    later = {"tools/list": [{"tools": [TOOL, change, bad(inputSchema=None)]}]}
    file = server_args(tmp_path, "legacy", {"fine": FINE}, pages, later)
    turns = [{"calls": [{"tool": "change", "input": {"key": "fine"}}]}, {"text": "Done."}]
    queries = [{"id": "first", "prompt": "go", "script": turns}, calling("fine")]
    done = played(tmp_path, file, "stdio", *queries, flags=["--concurrency", "1"])
    assert (done.code, done.verdicts) == (0, {"first": "passed", "fine": "passed"})
    warnings = [event["message"] for event in done.trace if event["event"] == "warning"]
    assert "the server's tools changed, effective for queries that start now: removed: bad" in warnings
    assert "tool 'bad' is left out: inputSchema is null, not an object" in warnings
