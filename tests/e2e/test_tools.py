"""`mcprun tools` against third-party servers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import npm
from tests.support.cli import run_mcprun

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


@pytest.mark.parametrize(("server", "name", "tool"), [
    ("mcp-server-time", "mcp-time", "get_current_time"), ("mcp-server-git", "mcp-git", "git_status"),
    pytest.param("everything", "mcp-servers/everything", "echo"),
])  # fmt: skip
def test_third_party_servers_are_listed_compared_and_linted(tmp_path: Path, server: str, name: str, tool: str) -> None:
    """The tools are listed, a snapshot compared with the same server has no changes, and `--lint` finds no errors."""
    if server == "everything":
        if missing := npm.missing():
            pytest.skip(f"{' and '.join(missing)} not installed: servers from npm need it")
        server = f"node {npm.node_modules()}/@modelcontextprotocol/server-everything/dist/index.js"
    listed = run_mcprun("tools", server, cwd=tmp_path)
    assert listed.code == 0
    assert listed.stdout.startswith(f"{name} ")
    assert f"\n{tool}{{" in listed.stdout
    assert run_mcprun("tools", server, "--snapshot", "kept.json", cwd=tmp_path).code == 0
    comparison = run_mcprun("tools", server, "--against", "kept.json", "--strict", cwd=tmp_path)
    assert (comparison.code, comparison.stdout) == (0, "no changes\n")
    lint = run_mcprun("tools", server, "--lint", cwd=tmp_path)
    assert (lint.code, lint.stdout.splitlines()[-1][:9]) == (0, "0 errors,")
