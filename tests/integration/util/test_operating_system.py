"""Servers started by the SDK, as on Windows, and by mcprun."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcprun.client.server_log import ServerLog
from mcprun.client.target import StdioTarget
from mcprun.client.transports.stdio import Stdio
from mcprun.runs.redaction import Redactor
from tests.support.cli import RAW


@pytest.mark.parametrize("is_windows", [True, False])
async def test_servers_start_with_their_variables_and_folder(tmp_path: Path, is_windows: bool) -> None:
    """The server gets its variables and working directory, its stderr is written to the log, and it exits."""
    log = ServerLog(tmp_path / "server.log", Redactor(), 10_000)
    script = f"import os, runpy, sys; print(os.getcwd(), os.environ['IT'], file=sys.stderr); runpy.run_path({str(RAW)!r}, run_name='__main__')"
    target = StdioTarget("it", sys.executable, ("-c", script), {"IT": "is set"}, str(tmp_path))
    with log.stderr() as stderr:
        stdio = Stdio(target, stderr, 10_000)
        opened: Any = stdio.open(is_windows=is_windows)
        async with asyncio.timeout(30), Client(opened, mode="legacy", cache=None) as client:
            tools = await client.list_tools()
            result = await client.call_tool("ok", {})
    assert "ok" in [tool.name for tool in tools.tools]
    assert not result.is_error
    assert (tmp_path / "server.log").read_text().startswith(f"{tmp_path} is set\n")
