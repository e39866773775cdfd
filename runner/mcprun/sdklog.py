"""What the SDKs log, as events: a user sees it in the trace, and not as a traceback between lines of progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mcprun.events import Emit, SdkLog
from mcprun.limits import MAX_NOISE
from mcprun.redact import Redactor

_LOGGERS = ("mcp", "anthropic", "httpx2")
_SHOWN = 1000
"""Characters of a warning that the trace holds."""


@contextmanager
def sdk_logs(emit: Emit, redactor: Redactor) -> Iterator[None]:
    """Send the SDKs' first warnings and errors to `emit`, and none elsewhere, for as long as the context lasts."""
    handler = _Handler(emit, redactor)
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
    def __init__(self, emit: Emit, redactor: Redactor) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit
        self._redactor = redactor
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self._count += 1
        if self._count > MAX_NOISE:
            return
        message = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message += f": {record.exc_info[1]}"
        message = self._redactor.text(message)[:_SHOWN]
        self._emit(SdkLog(logger=record.name, level=record.levelname.lower(), message=message))
