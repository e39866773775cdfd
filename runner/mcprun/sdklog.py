"""What the SDKs log, as events: a user sees it in the trace, and not as a traceback between lines of progress."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mcprun.events import Emit, SdkLog
from mcprun.limits import MAX_NOISE
from mcprun.redact import Redactor

_LOGGERS = ("mcp", "anthropic", "httpx2")
_SHOWN = 1000
"""Characters of a warning that the trace holds."""


_runs: list[_Handler] = []
_before: dict[str, bool] = {}
"""Whether each logger handed on what it was told, before the first of the runs that go on now."""
_lock = threading.Lock()


@contextmanager
def sdk_logs(emit: Emit, redactor: Redactor) -> Iterator[None]:
    """Send the SDKs' first warnings and errors to `emit`, and none elsewhere, for as long as the context lasts.

    Where several runs go on in one process, all are told, and the end of the last leaves the loggers as they were.
    """
    handler = _Handler(emit, redactor)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    with _lock:
        if not _runs:
            _before.update((logger.name, logger.propagate) for logger in loggers)
        _runs.append(handler)
        for logger in loggers:
            logger.addHandler(handler)
            logger.propagate = False
    try:
        yield
    finally:
        with _lock:
            _runs.remove(handler)
            for logger in loggers:
                logger.removeHandler(handler)
                logger.propagate = not _runs and _before[logger.name]


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
