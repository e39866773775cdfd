"""Log records of the SDKs become events."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings
from typing import Any

import mcp

from mcprun.client.sdk_logging import sdk_logs
from mcprun.runs.events import Event, SdkLog
from mcprun.runs.redaction import Redactor
from tests.support.sdk_loggers import records, state

__all__ = ["records"]


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
