"""`mcprun tools` against servers written by others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.cli import run_mcprun

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


# Real servers. -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("server", "name", "tool"), [
    ("mcp-server-time", "mcp-time", "get_current_time"), ("mcp-server-git", "mcp-git", "git_status"),
    pytest.param("everything", "mcp-servers/everything", "echo"),
])  # fmt: skip
def test_real_servers(tmp_path: Path, server: str, name: str, tool: str) -> None:
    """Listed, kept, held against what was kept, and looked over: nothing differs, and nothing is refused."""
    if server == "everything":
        if missing := npm.missing():
            pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
        server = f"node {npm.node_modules()}/@modelcontextprotocol/server-everything/dist/index.js"
    listed = run_mcprun("tools", server, cwd=tmp_path)
    assert listed.code == 0
    assert listed.stdout.startswith(f"{name} ")
    assert f"\n{tool}{{" in listed.stdout
    assert run_mcprun("tools", server, "--snapshot", "kept.json", cwd=tmp_path).code == 0
    same = run_mcprun("tools", server, "--against", "kept.json", "--strict", cwd=tmp_path)
    assert (same.code, same.stdout) == (0, "no changes\n")
    wrong = run_mcprun("tools", server, "--lint", cwd=tmp_path)
    assert (wrong.code, wrong.stdout.splitlines()[-1][:9]) == (0, "0 errors,")
