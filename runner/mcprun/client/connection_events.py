"""Emit events for what the connections to a server report: output that is not a message, refusals, lost sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mcprun._util.surrogates import WARNING
from mcprun.client.callbacks import ClientCallbacks
from mcprun.client.connection import Connection
from mcprun.client.server_log import ServerLog
from mcprun.client.transports.http_failure import HttpFailure
from mcprun.client.transports.http_reports import Reports
from mcprun.client.transports.stdio import StdioReports
from mcprun.limits import MAX_NOISE, MAX_TRACE_CHARS
from mcprun.runs.events import Emit, Noise, ServerExit, SessionRenewed, StrayAnswer, WarningEvent
from mcprun.runs.warn_once import WarnOnce


class ConnectionEvents:
    """The events of all connections to one target. Repeated ones are counted for the whole run, and limited.

    Args:
        log: The log of the servers, whose redactor is used.
        emit: Receives the events.
        counts: Counts events and warnings by name.
    """

    def __init__(self, log: ServerLog, emit: Emit, counts: Counter[str]) -> None:
        self._log = log
        self._emit = emit
        self._warn = WarnOnce(emit)
        self._counts = counts
        self._refused: set[tuple[str, int]] = set()

    def connection(self, number: int) -> Connection:
        """Return a new connection to server `number`, whose end is emitted."""
        return Connection(
            lambda link: self._emit(ServerExit(server=number, died=link.is_down, log_offset=self._log.offset))
        )

    def stray(self, number: int) -> Callable[[str, bool], None]:
        """Return the callback for a response that matches no request."""

        def emit(description: str, is_taken: bool) -> None:
            message = f"the server sent {description}"
            if is_taken:
                message += (
                    "; mcprun used it as the response to that request, but other clients may keep waiting for one"
                )
            if self._count("stray") <= MAX_NOISE:
                self._emit(StrayAnswer(server=number, text=message))
            if self._count(f"stray {is_taken}") == 1:
                self._emit(WarningEvent(message=message))

        return emit

    def stdio_reports(self, number: int, link: Connection) -> StdioReports:
        """Return the callbacks through which the stdio transport reports on its connection."""

        def noise(line: str) -> None:
            if self._count("noise") <= MAX_NOISE:
                self._emit(Noise(server=number, text=self._log.redactor.text(line)[:MAX_TRACE_CHARS]))

        def hung_up(reason: str) -> None:
            link.reason = reason

        return StdioReports(noise=noise, hung_up=hung_up, replaced=self._warn_replaced)

    def http_reports(self, number: int, link: Connection, callbacks: ClientCallbacks) -> Reports:
        """Return the callbacks through which an HTTP transport reports on its connection."""

        def renewed(status: int, seconds: float) -> None:
            callbacks.is_stale = True
            callbacks.active_queries.forget_session()
            self._emit(SessionRenewed(server=number, status=status, seconds=seconds))

        return Reports(
            on_lost=link.mark_closed, renewed=renewed, refused=self._emit_refused, replaced=self._warn_replaced
        )

    def _emit_refused(self, what: str, failure: HttpFailure) -> None:
        if (what, failure.status) not in self._refused:
            self._refused.add((what, failure.status))
            reply = self._log.redactor.text(failure.message())[:MAX_TRACE_CHARS]
            self._emit(WarningEvent(message=f"the server refused {what}: {reply}"))

    def _warn_replaced(self) -> None:
        self._warn("surrogates", f"a message of the server: {WARNING}")

    def _count(self, name: str) -> int:
        self._counts[name] += 1
        return self._counts[name]
