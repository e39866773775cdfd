"""Commands import heavy modules only when they need them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import QUICKSTART, clean_environment, write_jsonl
from tests.support.heavy_modules import HEAVY


def imported_packages(*command: str, cwd: Path, code: int = 0) -> set[str]:
    """Run an mcprun command that must exit with `code`. Return the top-level packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mcprun", *command],
        cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert any("click" in line for line in lines)
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        *([name, "--help"] for name in ("batch", "call", "chat", "init", "login", "logout", "report", "show", "tools")),
        ["--version"],
    ],
)
def test_help_imports_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    """`--help` and `--version` import neither heavy modules nor asyncio."""
    assert imported_packages(*command, cwd=tmp_path) & {*HEAVY, "asyncio"} == set()


def test_usage_errors_are_reported_before_an_sdk_is_imported(tmp_path: Path) -> None:
    """An invalid prompts file, a missing server and a filter without matches are reported before any SDK is imported."""
    prompts, server = map(str, QUICKSTART)
    bad = str(write_jsonl(tmp_path / "bad.jsonl", {"prompt": 1}))
    for arguments in ((bad, server), (prompts, "nope.py"), (prompts, server, "--filter", "nope")):
        assert imported_packages("batch", *arguments, cwd=tmp_path, code=2) & {"anthropic", "mcp", "mcp_types"} == set()


def test_scripts_and_recordings_never_import_the_api_client(tmp_path: Path) -> None:
    """Neither `script` nor `replay` imports anthropic, and reading a run imports no SDK at all."""
    prompts, server = map(str, QUICKSTART)
    assert imported_packages("batch", prompts, server, cwd=tmp_path) & {"anthropic"} == set()
    assert (
        imported_packages("batch", prompts, server, "--model", "replay:latest", cwd=tmp_path) & {"anthropic"} == set()
    )
    assert imported_packages("show", cwd=tmp_path) & {"anthropic", "mcp", "mcp_types"} == set()
    assert imported_packages("report", "--html", "r.html", cwd=tmp_path) & {"anthropic", "mcp", "mcp_types"} == set()
    assert imported_packages("report", "--junit", "j.xml", cwd=tmp_path) & {"anthropic", "mcp", "mcp_types"} == set()
    assert imported_packages("validate", prompts, cwd=tmp_path) & {"anthropic", "mcp", "mcp_types", "rich"} == set()
