"""`--allow-tool`, `--deny-tool` and `--read-only` restrict the tools that a model may call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Result, run_mcprun, script, stdlib_server, write_jsonl
from tests.support.messages_api import MessagesApi, calls, scripted, text

SERVER = stdlib_server("""
server = StdlibServer("files")
for name, hints in (("read_file", {"readOnlyHint": True}), ("stat", {"readOnlyHint": True}), ("write_file", {}), ("delete_file", {"destructiveHint": True})):
    server.add_tool(lambda: "done", name=name, annotations=hints)
server.run()
""")

NAMES = ("delete_file", "read_file", "stat", "write_file")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a server with annotated tools, and one query per tool."""
    (tmp_path / "files.py").write_text(SERVER)
    write_jsonl(tmp_path / "p.jsonl", *(script((name, {}), id=name) for name in NAMES))
    return tmp_path


def passed_queries(done: Result) -> list[str]:
    """Return the ids of the queries that passed."""
    return [name for name, verdict in done.verdicts.items() if verdict == "passed"]


@pytest.mark.parametrize(
    ("flags", "permitted"),
    [
        ((), NAMES),
        (("--read-only",), ("read_file", "stat")),
        (("--allow-tool", "*_file"), ("delete_file", "read_file", "write_file")),
        (("--allow-tool", "stat", "--allow-tool", "read*"), ("read_file", "stat")),
        (("--deny-tool", "delete_*"), ("read_file", "stat", "write_file")),
        (("--allow-tool", "*_file", "--deny-tool", "[dw]*"), ("read_file",)),
        (("--read-only", "--deny-tool", "stat"), ("read_file",)),
    ],
)
def test_calls_of_excluded_tools_do_not_reach_the_server(
    folder: Path, flags: tuple[str, ...], permitted: tuple[str, ...]
) -> None:
    """A call of an excluded tool is answered with an error and never reaches the server."""
    done = run_mcprun("batch", "p.jsonl", "files.py", *flags, cwd=folder)
    assert passed_queries(done) == sorted(permitted)
    refused = [one["calls"][0]["content"][0]["text"] for one in done.transcripts if one["id"] not in permitted]
    assert refused == [f"The tool {name} is not allowed here." for name in NAMES if name not in permitted]
    assert len(done.record["server"]["tools"]) == len(NAMES)


def test_model_receives_only_the_permitted_tools(folder: Path) -> None:
    """The API receives only permitted tools, narrowed by a query's `tools`; a call of any other tool is refused."""
    answers = {name: [calls(("delete_file", {})), text("ok")] for name in ("all", "own")}
    write_jsonl(
        folder / "p.jsonl", {"id": "all", "prompt": "all"}, {"id": "own", "prompt": "own", "tools": ["s*", "w*"]}
    )
    with MessagesApi(scripted(answers)) as api:
        env = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        done = run_mcprun("batch", "p.jsonl", "files.py", "--deny-tool", "[dw]*", cwd=folder, env=env)
    sent = {request.body["messages"][0]["content"]: request.body["tools"] for request in api.requests}
    assert {prompt: [tool["name"] for tool in tools] for prompt, tools in sent.items()} == {
        "all": ["read_file", "stat"],
        "own": ["stat"],
    }
    assert [one["calls"][0]["is_error"] for one in done.transcripts] == [True, True]


def test_excluding_every_tool_is_warned_about(folder: Path) -> None:
    """A filter that leaves no tools causes a warning, as it is probably a mistake."""
    done = run_mcprun("batch", "p.jsonl", "files.py", "--allow-tool", "nothing", cwd=folder)
    assert "no tools left: " in done.stderr


@pytest.mark.parametrize("flags", [("--deny-tool", "delete_*"), ("--allow-tool", "stat"), ("--read-only",)])
def test_allow_tool_errors_does_not_excuse_excluded_tools(folder: Path, flags: tuple[str, ...]) -> None:
    """A call of an excluded tool fails its query unless an expected call has `is_error`."""
    call: tuple[str, dict[str, Any]] = ("delete_file", {})
    allows, expects = {"tool_errors": "allow"}, {"calls": [{"tool": "delete_file", "is_error": True}]}
    write_jsonl(
        folder / "q.jsonl",
        script(call, id="plain"),
        script(call, id="allows", expect=allows),
        script(call, id="expects", expect=expects),
        script(call, id="both", expect={**allows, **expects}),
        script(call, id="own", expect={**allows}, tools=["stat"]),
    )
    done = run_mcprun("batch", "q.jsonl", "files.py", "--allow-tool-errors", *flags, cwd=folder)
    assert (done.code, passed_queries(done)) == (1, ["expects", "both"])
    (message,) = {check["message"] for one in done.transcripts for check in one["checks"] if not check["passed"]}
    assert message == (
        "call 0: expected a tool that may be used, got delete_file{}: 'The tool delete_file is not allowed here.'"
    )
