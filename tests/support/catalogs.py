"""Write a server that lists given tools, for tests of `mcprun tools` and `mcprun init`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CATALOG = """
import json, sys
tools = json.load(open(sys.argv[1]))
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message: continue
    answers = {"initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                              "serverInfo": {"name": "catalog", "version": "1"}}, "tools/list": {"tools": tools}}
    found = answers.get(message["method"])
    answer = {"result": found} if found else {"error": {"code": -32601, "message": "no such method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"""
"""Source of a server that lists the tools in a JSON file."""


def catalog(folder: Path, *tools: dict[str, Any]) -> list[str]:
    """Write a server that lists these tools; return its command-line arguments."""
    (folder / "catalog.py").write_text(CATALOG)
    (folder / "listed.json").write_text(json.dumps(tools))
    return ["catalog.py", "--", "listed.json"]
