"""Capture the records of the SDKs' loggers, and the state of logging that a run may change."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest

LOGGERS = ("mcp", "client", "anthropic", "httpx2", "httpcore2", "anyio", "asyncio")


class RecordingHandler(logging.Handler):
    """A handler that collects the messages of log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Collect the message of a record."""
        self.records.append(record.getMessage())


@pytest.fixture
def records() -> Any:
    """Return the list of messages that reach a handler of the root logger."""
    handler = RecordingHandler()
    logging.getLogger().addHandler(handler)
    yield handler.records
    logging.getLogger().removeHandler(handler)


def state() -> list[Any]:
    """Return the settings of the loggers and of warnings that a run may change."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    settings = [(one.propagate, list(one.handlers), list(one.filters), one.level, one.disabled) for one in loggers]
    return [*settings, warnings.showwarning]
