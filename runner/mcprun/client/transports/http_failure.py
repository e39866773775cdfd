"""Why a request over HTTP has no result: the status and the words of the response, for the task that sent the request.

A transport of the SDK answers with JSON-RPC messages, which have no room for an HTTP status. It runs in the context of
the task that sent the request, so that a context variable leads back to that task.
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
"""Characters of a reason phrase that are shown: it is the server's own text."""


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """A response that is not a result, or does not hold one.

    Args:
        status: The HTTP status.
        reason: The reason phrase of the status line.
        flaw: What is wrong with the response; empty if its status says so.
        cause: What mcprun knows of it: what authorization the server wants.
        words: Readable text from the body, on one line and bounded; of a JSON-RPC error, its message and its data.
        is_json_rpc: Whether the words are those of a JSON-RPC error.
        retry_after: Seconds that the server asks to wait, if it does.
        is_lost_session: Whether the server refused the session, and then the new one as well.
    """

    status: int
    reason: str = ""
    flaw: str = ""
    cause: str = ""
    words: str = ""
    is_json_rpc: bool = False
    retry_after: float | None = None
    is_lost_session: bool = False

    @property
    def problem(self) -> str:
        """The `problem` of the trace: the status, or that a response with a good one could not be used."""
        return "invalid answer" if self.status == HTTPStatus.OK else f"http {self.status}"

    @property
    def line(self) -> str:
        """The status line: `HTTP 500 Internal Server Error`."""
        return f"HTTP {self.status} {self.reason}".rstrip()

    def message(self) -> str:
        """Describe the failure: the status line, and what is known of the cause."""
        start = f"{self.line}, but {self.flaw}" if self.flaw else self.line
        words = self.words if self.words.lower() != self.reason.lower() else ""
        return ": ".join(filter(None, (start, self.cause, words)))


@dataclass(slots=True)
class Delivery:
    """One request on its way.

    `failure` is set by the transport, and `cause` by the authorization that was refused. `is_over` is set once the
    sender no longer waits.
    """

    failure: HttpFailure | None = None
    cause: str = ""
    is_over: bool = False


_DELIVERY: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


@contextmanager
def delivery() -> Iterator[Delivery]:
    """Collect what the transport learns about the request that is sent within the context."""
    sent = Delivery()
    token = _DELIVERY.set(sent)
    try:
        yield sent
    finally:
        sent.is_over = True
        _DELIVERY.reset(token)


def begin_delivery() -> Delivery:
    """Collect what the transport learns about all further requests of this task, the last one's failure at a time."""
    sent = Delivery()
    _DELIVERY.set(sent)
    return sent


def current_delivery() -> Delivery:
    """Return the delivery that the running task serves; a new one if nobody waits for it."""
    return _DELIVERY.get() or Delivery()


def reason_of(status: int, phrase: str) -> str:
    """Return a reason phrase for a status: the server's own, else the standard one (RFC 9110, section 15)."""
    own = " ".join(phrase.split())[:_MAX_REASON]
    return own or _PHRASES.get(status, "")


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Read `retry-after`, seconds or a date (RFC 9110, section 10.2.3). None if it is absent or cannot be read."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
