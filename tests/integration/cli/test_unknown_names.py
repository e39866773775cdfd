"""Commands warn about misspelt keywords and about patterns that match no tool."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.cli import RAW, SERVERS, run_mcprun, script, write_jsonl


def test_commands_warn_once_about_each_unknown_name(tmp_path: Path) -> None:
    """`validate` warns about keywords of the schema, and `batch` about those and about tools, once each.

    Both still exit with 0.
    """
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


def test_a_misspelt_tool_of_a_script_fails_with_a_suggestion(tmp_path: Path) -> None:
    """The failed check names the tool that was probably meant, besides the server's own message."""
    write_jsonl(tmp_path / "p.jsonl", script(("ecko", {"text": "a"}), expect={"calls": [{"tool": "ekho"}]}))
    ran = run_mcprun("batch", "p.jsonl", SERVERS / "kinds.py", cwd=tmp_path)
    assert ran.code == 1
    messages = {check["check"]: check["message"] for check in ran.transcripts[0]["checks"]}
    assert messages["tool_errors"].endswith(" (the server has no tool 'ecko'; did you mean 'echo'?)")
    assert messages["calls"].endswith(" (the server has no tool 'ekho'; did you mean 'echo'?)")
