"""Describe why an HTTP request has no result, for the task that sent the request.

The SDK's transports pass on JSON-RPC messages, which cannot hold an HTTP status. A transport runs in the context of the
task that sent the request, so a context variable leads back to that task.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

_PHRASES = {status.value: status.phrase for status in HTTPStatus}

_MAX_REASON = 80
"""Characters of a reason phrase that are shown: the server chooses its text."""


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """An HTTP response without a usable result.

    Args:
        status: The HTTP status.
        reason: The reason phrase of the status line.
        flaw: What is wrong with the response; empty if its status says so.
        cause: What mcprun knows about the cause, such as the authorization that the server requires.
        body_text: Text from the body, on one line and bounded. For a JSON-RPC error, its message and its data.
        is_json_rpc: Whether `body_text` comes from a JSON-RPC error.
        retry_after: Seconds to wait before a retry, if the server names them.
        is_lost_session: Whether the server refused the session, and then its replacement too.
    """

    status: int
    reason: str = ""
    flaw: str = ""
    cause: str = ""
    body_text: str = ""
    is_json_rpc: bool = False
    retry_after: float | None = None
    is_lost_session: bool = False

    @property
    def problem(self) -> str:
        """The `problem` of the trace event: the HTTP status, or `invalid answer` if the status is 200."""
        return "invalid answer" if self.status == HTTPStatus.OK else f"http {self.status}"

    @property
    def line(self) -> str:
        """The status line, such as `HTTP 500 Internal Server Error`."""
        return f"HTTP {self.status} {self.reason}".rstrip()

    def message(self) -> str:
        """Describe the failure: the status line with the flaw, the cause, and the server's text."""
        start = f"{self.line}, but {self.flaw}" if self.flaw else self.line
        words = self.body_text if self.body_text.lower() != self.reason.lower() else ""
        return ": ".join(filter(None, (start, self.cause, words)))


@dataclass(slots=True)
class Delivery:
    """The outcome of a request, shared by its sender and the transport.

    The transport sets `failure`, and the authorization sets `cause` if it was refused. `has_ended` is set once the
    sender no longer waits.
    """

    failure: HttpFailure | None = None
    cause: str = ""
    has_ended: bool = False


_DELIVERY: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


@contextmanager
def delivery() -> Iterator[Delivery]:
    """Collect the outcome of the request that is sent within the context."""
    outcome = Delivery()
    token = _DELIVERY.set(outcome)
    try:
        yield outcome
    finally:
        outcome.has_ended = True
        _DELIVERY.reset(token)


def begin_delivery() -> Delivery:
    """Collect the outcome of each further request of this task. Each one replaces that of the request before."""
    outcome = Delivery()
    _DELIVERY.set(outcome)
    return outcome


def current_delivery() -> Delivery:
    """Return the delivery of the running task, or a new one if its sender does not collect the outcome."""
    return _DELIVERY.get() or Delivery()


def reason_of(status: int, phrase: str) -> str:
    """Return the server's reason phrase for a status, or the standard one if it is empty (RFC 9110, section 15)."""
    shown = " ".join(phrase.split())[:_MAX_REASON]
    return shown or _PHRASES.get(status, "")


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in `retry-after`, a number or a date (RFC 9110, section 10.2.3). None if absent or invalid."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
