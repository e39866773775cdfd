"""What the SDKs log, as events: a user sees it in the trace, and not as a traceback between lines of progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mcprun.events import Emit, SdkLog

_LOGGERS = ("mcp", "anthropic", "httpx2")
_SHOWN = 1000


@contextmanager
def sdk_logs(emit: Emit) -> Iterator[None]:
    """Send the SDKs' warnings and errors to `emit`, and nowhere else, for as long as the context lasts."""
    handler = _Handler(emit)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in before:
            logger.removeHandler(handler)
            logger.propagate = propagate


class _Handler(logging.Handler):
    def __init__(self, emit: Emit) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message += f": {record.exc_info[1]}"
        self._emit(SdkLog(logger=record.name, level=record.levelname.lower(), message=message[:_SHOWN]))
