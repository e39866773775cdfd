"""What the SDKs log: an event of the trace, never a traceback on the terminal, and logging is left as it was."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import mcp
import pytest

import mcprun as api
from mcprun.client.sdk_logging import sdk_logs
from mcprun.runs.events import Event, SdkLog
from mcprun.runs.redaction import Redactor
from tests.support.cli import SERVERS, clean_environment, script, write_jsonl
from tests.support.forks import Forks

LOGGERS = ("mcp", "client", "anthropic", "httpx2", "httpcore2", "anyio", "asyncio")
ODD = SERVERS / "odd_answers.py"
LOUD = '{"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "LOUD", "data": "x"}}'
ANSWER = '{"jsonrpc": "2.0", "id": $id, "result": {"resultType": "complete", "content": []}}'


class RecordingHandler(logging.Handler):
    """Somebody else who listens to all that is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        self.records.append(record.getMessage())


@pytest.fixture
def records() -> Any:
    """What a handler at the root hears."""
    handler = RecordingHandler()
    logging.getLogger().addHandler(handler)
    yield handler.records
    logging.getLogger().removeHandler(handler)


def state() -> list[Any]:
    """Give all of logging that a run may change."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    kept = [(one.propagate, list(one.handlers), list(one.filters), one.level, one.disabled) for one in loggers]
    return [*kept, warnings.showwarning]


def code_of(package: Any, source: str) -> Any:
    """Compile a function that seems to be a package's own."""
    names: dict[str, Any] = {}
    exec(compile(source, package.__file__, "exec"), names)
    return names["made"]


def test_each_of_the_sdks_loggers_is_heard(records: list[str]) -> None:
    """Also the one whose name is anybody's; what others log is theirs, and goes where it went."""
    before, events = state(), list[Event]()
    log = code_of(mcp, "def made(logger, text):\n    logger.warning(text)")
    with sdk_logs(events.append, Redactor(["xyzzy-1"])):
        for name in ("mcp.client.sse", "anthropic._base_client", "httpx2", "httpcore2.http2", "anyio", "client"):
            log(logging.getLogger(name), f"{name} says xyzzy-1")
        logging.getLogger("client").warning("the application's own")
        logging.getLogger("asyncio").warning("the application's own task")
        logging.getLogger("client").info("and quiet")
    assert [event.message for event in events if isinstance(event, SdkLog)] == [
        f"{name} says [redacted]"
        for name in ("mcp.client.sse", "anthropic._base_client", "httpx2", "httpcore2.http2", "anyio", "client")
    ]
    assert records == ["the application's own", "the application's own task"]
    assert state() == before


def test_a_task_of_an_sdk_that_fails_unseen(records: list[str]) -> None:
    """asyncio tells of it when it is freed; an application's own tasks are not ours to hide."""
    events: list[Event] = []
    theirs = code_of(mcp, "async def made():\n    raise ValueError('lost xyzzy-1')")

    async def own() -> None:
        raise ValueError("the application's")

    async def main() -> None:
        for coroutine in (theirs(), own()):
            asyncio.ensure_future(coroutine)  # noqa: RUF006  that nobody awaits it is the point
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        gc.collect()

    with sdk_logs(events.append, Redactor(["xyzzy-1"])):
        asyncio.run(main())
    (event,) = (event for event in events if isinstance(event, SdkLog))
    assert event.logger == "asyncio"
    assert event.message.startswith("Task exception was never retrieved")
    assert event.message.endswith(": lost [redacted]")
    assert "xyzzy-1" not in event.message
    assert len(records) == 1
    assert "own" in records[0]


def test_warnings_of_the_sdks() -> None:
    """They are events, once taken; an application's own are shown as they were."""
    events: list[Event] = []
    warn = code_of(mcp, "def made(text):\n    import warnings\n    warnings.warn(text, UserWarning, stacklevel=1)")
    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: shown.append(str(message))
        with sdk_logs(events.append, Redactor()):
            warn("theirs")
            warnings.warn("ours", UserWarning, stacklevel=1)
        warn("later")
    assert [event.message for event in events if isinstance(event, SdkLog)] == ["UserWarning: theirs"]
    assert shown == ["ours", "later"]


def test_runs_side_by_side_and_many_records() -> None:
    """Each run is told, up to a bound; what a run makes of it is no concern of the code that logs."""
    one, other, before = list[Event](), list[Event](), state()
    with sdk_logs(one.append, Redactor()), sdk_logs(_broken, Redactor()):
        with sdk_logs(other.append, Redactor()):
            logging.getLogger("mcp.x").error("first")
        for number in range(300):
            logging.getLogger("mcp.x").warning("%d", number)
    assert (len(one), len(other)) == (100, 1)
    assert state() == before


def _broken(event: Event) -> None:
    raise RuntimeError(event)


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("level", ["debug", "emergency"])
def test_a_batch_prints_no_traceback(mcprun: Forks, tmp_path: Path, era: str, level: str) -> None:
    """A notification that the SDK can't read is an event."""
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
    """Whatever the server says while it lists its tools."""
    tools = json.dumps({"tools": [{"name": "ok", "inputSchema": {"type": "object"}}]})
    lines = [LOUD, f'{{"jsonrpc": "2.0", "id": $id, "result": {tools}}}']
    env = {"ANSWERS": json.dumps({"tools/list": lines})}
    done = mcprun.run(command[0], ODD, *command[1:], "--env", "ANSWERS", cwd=tmp_path, env=env)
    assert (done.code, "Traceback" in done.stderr, "validation error" in done.stdout) == (0, False, False)


def test_the_python_interface_leaves_logging_as_it_was(tmp_path: Path, records: list[str]) -> None:
    """A handler of the application is told nothing of the SDKs' while a run goes on, and all of it afterwards."""
    write_jsonl(tmp_path / "p.jsonl", script(("raw", {"lines": [LOUD, ANSWER]})))
    before = state()
    options = api.Options(model="script", out=str(tmp_path / "run"), server_args=["legacy"])
    asyncio.run(api.run_batch(str(tmp_path / "p.jsonl"), str(ODD), options))
    assert state() == before
    assert [text for text in records if "validate" in text] == []
    logging.getLogger("mcp.x").warning("afterwards")
    assert records[-1] == "afterwards"


def test_what_comes_after_a_run_is_dropped_too() -> None:
    """The command drops it: a task that nobody awaits may be freed when no run is there to be told."""
    code = (
        "from mcprun.cli import main\nimport logging, mcp\nmain(['diff', '--help'], standalone_mode=False)\n"
        "from mcprun.client.sdk_logging import drop_sdk_logs\ndrop_sdk_logs()\n"
        "logging.getLogger('mcp.client').error('late')\nlogging.getLogger('mine').error('own')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
    assert done.stderr == "own\n"
