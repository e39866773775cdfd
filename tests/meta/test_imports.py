"""Commands import heavy modules only when they need them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import QUICKSTART, clean_environment, write_jsonl
from tests.support.heavy_modules import HEAVY, OF_FEW_RUNS
from tests.support.messages_api import Body, MessagesApi, text


def imported_packages(*command: str, cwd: Path, code: int = 0) -> set[str]:
    """Run an mcprun command that must exit with `code`. Return the top-level packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mcprun", *command],
        cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code
    return packages(imported_modules(done.stderr))


def imported_modules(log: str) -> set[str]:
    """Return the modules that `-X importtime` has logged. click is always one of them."""
    lines = [line for line in log.splitlines() if line.startswith("import time:")]
    modules = {line.rsplit("|", 1)[1].strip() for line in lines}
    assert "click" in modules
    return modules


def packages(modules: set[str]) -> set[str]:
    """Return the top-level packages of modules."""
    return {module.split(".")[0] for module in modules}


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        *(
            [name, "--help"]
            for name in ("batch", "call", "chat", "coverage", "init", "login", "logout", "report", "show", "tools")
        ),
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


def test_a_run_with_claude_imports_only_what_it_needs_before_its_first_request(tmp_path: Path) -> None:
    """When the first request arrives, only the SDKs and what they need are imported, and nothing of other runs."""
    prompts, server = map(str, QUICKSTART)
    log, at_requests = tmp_path / "imports", list[set[str]]()

    def answer(_: Body) -> Body:
        at_requests.append(imported_modules(log.read_text()))
        return text("Done.")

    with MessagesApi(answer) as api, log.open("w") as stderr:
        command = ["batch", prompts, server, "--model", "claude-sonnet-5-5", "--base-url", api.url]
        subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "mcprun", *command],
            cwd=tmp_path, env=clean_environment() | {"ANTHROPIC_API_KEY": "sk-ant-test"}, stderr=stderr,
            check=False, timeout=60,
        )  # fmt: skip
    first = at_requests[0]
    needed = {"anthropic", "httpx2", "jsonschema", "mcp", "mcp_types", "opentelemetry", "pydantic", "rich"}
    assert packages(first) & HEAVY <= needed
    assert first & OF_FEW_RUNS == set()
