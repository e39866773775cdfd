"""Run queries against a server whose tool fails on every fourth call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.cli import Result, script, write_jsonl
from tests.support.forks import Forks

FLAKY = """
import json, pathlib, sys
note = pathlib.Path("calls")
for line in sys.stdin:
    message = json.loads(line)
    number, method = message.get("id"), message.get("method")
    if number is None:
        continue
    result = {}
    if method == "initialize":
        info = {"name": "flaky", "version": "0"}
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    elif method == "tools/list":
        result = {"tools": [{"name": "now_and_then", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        count = len(note.read_text()) if note.exists() else 0
        note.write_text("x" * (count + 1))
        result = {"content": [{"type": "text", "text": str(count)}], "isError": count % 4 == 1}
    else:
        print(json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)
"""
"""Source of a server whose second call fails, and every fourth call after it."""


def flaky(mcprun: Forks, folder: Path, *flags: str, **more: Any) -> Result:
    """Run two queries without concurrency: `sometimes`, which calls the flaky tool, and `always`, which calls none."""
    (folder / "flaky.py").write_text(FLAKY)
    write_jsonl(folder / "p.jsonl", script(("now_and_then", {}), id="sometimes", **more), script(id="always"))
    return mcprun.run("batch", "p.jsonl", "flaky.py", "--concurrency", "1", *flags, cwd=folder)
