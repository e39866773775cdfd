"""Log records of the SDKs become trace events, and never a traceback on the terminal."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import mcprun as api
from tests.support.cli import SERVERS, clean_environment, script, write_jsonl
from tests.support.forks import Forks
from tests.support.sdk_loggers import records, state

__all__ = ["records"]

ODD = SERVERS / "odd_answers.py"

LOUD = '{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "LOUD", "data": "x"}}'

ANSWER = '{"jsonrpc": "2.0", "id": $id, "result": {"resultType": "complete", "content": []}}'


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("level", ["debug", "emergency"])
def test_a_batch_prints_no_traceback(mcprun: Forks, tmp_path: Path, era: str, level: str) -> None:
    """A notification that the SDK cannot parse is recorded as an event."""
    write_jsonl(tmp_path / "p.jsonl", script(("raw", {"lines": [LOUD, ANSWER]})))
    flags = ("--model", "script", "--quiet", "--log-level", level)
    done = mcprun.run("batch", "p.jsonl", ODD, *flags, "--", era, cwd=tmp_path)
    assert (done.code, done.stderr.count("\n"), "Traceback" in done.stderr) == (0, 1, False)
    (event,) = (event for event in done.trace if event["event"] == "sdk_log")
    assert event["logger"] == "client"


@pytest.mark.parametrize(
    "command", [("tools",), ("init", "--no-workflow"), ("init", "--no-workflow", "--try", "--prompts", "other.jsonl")]
)
def test_other_commands_print_no_traceback(mcprun: Forks, tmp_path: Path, command: tuple[str, ...]) -> None:
    """A notification that the SDK cannot parse prints no traceback while a command lists the server's tools."""
    tools = json.dumps({"tools": [{"name": "ok", "inputSchema": {"type": "object"}}]})
    lines = [LOUD, f'{{"jsonrpc": "2.0", "id": $id, "result": {tools}}}']
    env = {"ANSWERS": json.dumps({"tools/list": lines})}
    done = mcprun.run(command[0], ODD, *command[1:], "--env", "ANSWERS", cwd=tmp_path, env=env)
    assert (done.code, "Traceback" in done.stderr, "validation error" in done.stdout) == (0, False, False)


def test_the_python_interface_leaves_logging_as_it_was(tmp_path: Path, records: list[str]) -> None:
    """An application's handler gets no record of the SDKs during a run, and all of them afterwards."""
    write_jsonl(tmp_path / "p.jsonl", script(("raw", {"lines": [LOUD, ANSWER]})))
    before = state()
    options = api.Options(model="script", out=str(tmp_path / "run"), server_args=["legacy"])
    asyncio.run(api.run_batch(str(tmp_path / "p.jsonl"), str(ODD), options))
    assert state() == before
    assert [text for text in records if "validate" in text] == []
    logging.getLogger("mcp.x").warning("afterwards")
    assert records[-1] == "afterwards"


def test_sdk_logs_after_a_run_are_dropped() -> None:
    """A task that is never awaited may be freed when there is no run that could record its log message."""
    code = (
        "from mcprun.cli import main\nimport logging, mcp\nmain(['diff', '--help'], standalone_mode=False)\n"
        "from mcprun.client.sdk_logging import drop_sdk_logs\ndrop_sdk_logs()\n"
        "logging.getLogger('mcp.client').error('late')\nlogging.getLogger('mine').error('own')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
    assert done.stderr == "own\n"
