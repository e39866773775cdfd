"""Log records and warnings of the SDKs become events."""

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


def compile_as(package: Any, source: str) -> Any:
    """Compile `source` with the file name of a package, and return its function `made`."""
    names: dict[str, Any] = {}
    exec(compile(source, package.__file__, "exec"), names)
    return names["made"]


def test_records_of_sdk_loggers_become_events(records: list[str]) -> None:
    """A record counts by its caller, even under a common logger name.

    Records of the application reach its own handlers.
    """
    before, events = state(), list[Event]()
    log = compile_as(mcp, "def made(logger, text):\n    logger.warning(text)")
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


def test_unretrieved_exception_of_an_sdk_task_is_an_event(records: list[str]) -> None:
    """asyncio logs the exception when the task is freed. That of an application's task is logged as usual."""
    events: list[Event] = []
    sdk_coroutine = compile_as(mcp, "async def made():\n    raise ValueError('lost xyzzy-1')")

    async def own() -> None:
        raise ValueError("the application's")

    async def main() -> None:
        for coroutine in (sdk_coroutine(), own()):
            asyncio.ensure_future(coroutine)  # noqa: RUF006  the exception must stay unretrieved
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


def test_sdk_warnings_become_events() -> None:
    """Warnings of an SDK become events and are not shown. Warnings of the application are shown."""
    events: list[Event] = []
    warn = compile_as(mcp, "def made(text):\n    import warnings\n    warnings.warn(text, UserWarning, stacklevel=1)")
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


def test_concurrent_runs_receive_a_bounded_number_of_records() -> None:
    """Each run receives at most 100 records. An error in a run's callback does not reach the logging code."""
    first, second, before = list[Event](), list[Event](), state()
    with sdk_logs(first.append, Redactor()), sdk_logs(_raise_error, Redactor()):
        with sdk_logs(second.append, Redactor()):
            logging.getLogger("mcp.x").error("first")
        for number in range(300):
            logging.getLogger("mcp.x").warning("%d", number)
    assert (len(first), len(second)) == (100, 1)
    assert state() == before


def _raise_error(event: Event) -> None:
    raise RuntimeError(event)
