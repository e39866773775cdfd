"""Capture what the SDKs' loggers emit."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest

LOGGERS = ("mcp", "client", "anthropic", "httpx2", "httpcore2", "anyio", "asyncio")


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
