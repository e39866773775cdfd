"""Every command shows the warnings of a configuration file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.cli import RAW, run_mcprun, script, write_jsonl


def test_warnings_are_shown_by_each_command_that_uses_the_server(tmp_path: Path) -> None:
    """`batch`, `tools` and `init` show the warning, and `batch` also records it in the trace."""
    entry = {"command": sys.executable, "args": [str(RAW)], "timeout": 5}
    (tmp_path / "mcp.json").write_text(f'// ours\n{{"mcpServers": {{"it": {json.dumps(entry)},}},}}')
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    warning = "mcp.json: mcpServers.it.timeout is ignored, since clients disagree on its unit"
    done = run_mcprun("batch", "p.jsonl", "mcp.json", cwd=tmp_path)
    assert (done.code, done.stderr.count(f"Warning: {warning}")) == (0, 1)
    assert [event["message"].startswith(warning) for event in done.trace if event["event"] == "warning"] == [True]
    for command in (("tools", "mcp.json"), ("init", "mcp.json", "--no-workflow", "--prompts", "q.jsonl")):
        other = run_mcprun(*command, cwd=tmp_path)
        assert f"Warning: {warning}" in other.stderr, other
