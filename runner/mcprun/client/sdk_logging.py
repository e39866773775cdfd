"""Turn the log records of the SDKs into trace events, so that they never reach the terminal."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mcprun.limits import MAX_NOISE, MAX_TRACE_CHARS

if TYPE_CHECKING:
    from mcprun.runs.events import Emit
    from mcprun.runs.redaction import Redactor

_LOGGERS = ("mcp", "anthropic", "httpx2", "httpcore2", "anyio")
"""Loggers of the SDKs, including their children."""

_SHARED = ("client", "asyncio")
"""Loggers that are shared with other code. Only records that an SDK caused are taken from them."""

_PACKAGES = (*_LOGGERS, "mcp_types", "mcprun")
"""Packages whose records and warnings count as an SDK's. mcprun is included because its tasks run SDK code."""


@contextmanager
def sdk_logs(emit: Emit, redactor: Redactor) -> Iterator[None]:
    """Emit the first `MAX_NOISE` warnings and errors of the SDKs as events during the context, and discard the rest.

    If several runs share the process, each of them gets all records. The end of the last one restores logging.
    """
    run = _Run(emit, redactor)
    _TAP.add(run)
    try:
        yield
    finally:
        _TAP.drop(run)


def drop_sdk_logs() -> None:
    """Keep log records of the SDKs off the terminal until the process exits, even outside runs."""
    _TAP.add(None)


class _Run:
    """A run that receives records, and the number of records so far."""

    def __init__(self, emit: Emit, redactor: Redactor) -> None:
        self._emit = emit
        self._redactor = redactor
        self._count = 0

    def take(self, logger: str, level: str, message: str) -> None:
        from mcprun.runs.events import SdkLog

        self._count += 1
        if self._count <= MAX_NOISE:
            self._emit(SdkLog(logger=logger, level=level, message=self._redactor.text(message)[:MAX_TRACE_CHARS]))


class _Tap(logging.Handler):
    """Handles the SDKs' log records and Python warnings while at least one run receives them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._runs: list[_Run | None] = []
        self._propagated: dict[str, bool] = {}
        self._show: Any = None
        self._changing = threading.RLock()

    def add(self, run: _Run | None) -> None:
        """Start passing records to a run. None only discards them."""
        with self._changing:
            if not self._runs:
                self._install()
            self._runs.append(run)

    def drop(self, run: _Run) -> None:
        """Stop passing records to a run. Restore logging after the last one."""
        with self._changing:
            self._runs.remove(run)
            if not self._runs:
                self._remove()

    def _install(self) -> None:
        for logger in map(logging.getLogger, _LOGGERS):
            self._propagated[logger.name] = logger.propagate
            logger.propagate = False
            logger.addHandler(self)
        for logger in map(logging.getLogger, _SHARED):
            logger.addFilter(self._passes)
        self._show = warnings.showwarning
        warnings.showwarning = self._shown

    def _remove(self) -> None:
        for logger in map(logging.getLogger, _LOGGERS):
            logger.removeHandler(self)
            logger.propagate = self._propagated[logger.name]
        for logger in map(logging.getLogger, _SHARED):
            logger.removeFilter(self._passes)
        if warnings.showwarning == self._shown:  # else other code has replaced it since, and will restore it
            warnings.showwarning = self._show

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on the message of a log record, with that of its exception."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            message += f": {record.exc_info[1]}"
        self._take(record.name, record.levelname.lower(), message)

    def _passes(self, record: logging.LogRecord) -> bool:
        """Filter a shared logger: take the records that an SDK caused, and hide them from other handlers."""
        if not _is_caused_by_sdk(record):
            return True
        if record.levelno >= self.level:
            self.handle(record)
        return False

    def _shown(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if filename.startswith(_folders()):
            self._take("py.warnings", "warning", f"{category.__name__}: {message}")
        else:
            self._show(message, category, filename, lineno, file, line)

    def _take(self, logger: str, level: str, message: str) -> None:
        for run in tuple(self._runs):
            if run:
                with suppress(Exception):  # logging must never raise in the code that logs
                    run.take(logger, level, message)


def _is_caused_by_sdk(record: logging.LogRecord) -> bool:
    """Return whether SDK code wrote a record, raised its exception, or is named in its message."""
    folders = _folders()
    if record.pathname.startswith(folders):
        return True
    trace = record.exc_info[2] if record.exc_info else None
    while trace:
        if trace.tb_frame.f_code.co_filename.startswith(folders):
            return True
        trace = trace.tb_next
    message = record.getMessage()
    return any(folder in message for folder in folders)


def _folders() -> tuple[str, ...]:
    """Return the folders of the `_PACKAGES` that have been imported, each with a trailing separator."""
    modules = (sys.modules.get(name) for name in _PACKAGES)
    return tuple(os.path.dirname(module.__file__) + os.sep for module in modules if module and module.__file__)  # noqa: PTH120  code objects hold paths as strings


_TAP = _Tap()
