"""What happens in a run, as plain values. The engine emits them and knows nobody who listens.

Each becomes one line of `trace.jsonl`: `event` (its name), `at` (added by whoever writes it), where it
happened (`query, repeat, attempt, turn`), `seconds`, and its own fields; fields that hold `None` are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar

from mcprun._util.json_value import JsonObject
from mcprun.runs.records import Transcript, Usage


@dataclass(frozen=True, slots=True)
class AttemptRef:
    """Which try at which query something belongs to."""

    query: str
    repeat: int = 1
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events; `name` is the value of `event` in the trace."""

    name: ClassVar[str]
    unwritten: ClassVar[frozenset[str]] = frozenset({"where"})
    where: AttemptRef | None = None
    turn: int | None = None
    seconds: float | None = None

    def line(self, at: str) -> JsonObject:
        """Give the JSON object of the trace; `at` is the time, in UTC, ISO 8601."""
        line: JsonObject = {"event": self.name, "at": at}
        if where := self.where:
            line |= {"query": where.query, "repeat": where.repeat, "attempt": where.attempt}
        names, values = _written(type(self))  # type: ignore[arg-type]  # mypy looks at the hash of an instance
        for name, value in zip(names, values(self), strict=True):
            if value is not None:
                line[name] = _plain(value)
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart(Event):
    """A run begins, or goes on: so many of its `queries` are `done`. `model` is who answers, `chosen` why."""

    name: ClassVar[str] = "run_start"
    queries: int
    done: int
    model: str
    chosen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStart(Event):
    """With `--ray`, an actor is ready: its number, and the process and the node (its IP address) that it is on."""

    name: ClassVar[str] = "actor_start"
    actor: int
    pid: int
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStart(Event):
    """A server answered. `server` numbers the servers of a run; `log_offset` is where its stderr begins."""

    name: ClassVar[str] = "server_start"
    server: int
    server_name: str | None
    version: str | None
    protocol: str
    tools: int
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerExit(Event):
    """A server is gone: because mcprun closed it, or (`died`) by itself."""

    name: ClassVar[str] = "server_exit"
    server: int
    died: bool
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRenewed(Event):
    """A server no longer knew its HTTP session (`status`), and a new one was opened in `seconds`."""

    name: ClassVar[str] = "session_renewed"
    server: int
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise(Event):
    """A line on a server's stdout that is no message, though stdout is the protocol's."""

    name: ClassVar[str] = "noise"
    server: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayAnswer(Event):
    """An answer whose id fits no request. `text` holds the answer, and how it was handled."""

    name: ClassVar[str] = "stray_answer"
    server: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall(Event):
    """One model request and its answer, or the `error` that came in its place; `batch` is the one that it came with."""

    name: ClassVar[str] = "model_call"
    model: str
    stop_reason: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    batch: str | None = None
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeCall(Event):
    """One request to the judge, about one rubric, and that it answered; or the `error` that came in its place."""

    name: ClassVar[str] = "judge_call"
    model: str
    rubric: str
    stop_reason: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    batch: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAsked(Event):
    """A `wave` of requests is about to be sent; told before, so that its batch can be found though its id is lost.

    `requests` holds one object a request: its `custom_id`, and of whom it is (`query`, `repeat`, `attempt`, `turn`).
    """

    name: ClassVar[str] = "batch_asked"
    wave: str
    requests: list[JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSent(Event):
    """A wave is being processed as a Message Batch of `size` requests; told before anybody waits for it."""

    name: ClassVar[str] = "batch_sent"
    wave: str
    batch: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnded(Event):
    """The results of a Message Batch were taken, after `seconds`; `counts` are the kinds of results."""

    name: ClassVar[str] = "batch_ended"
    batch: str
    counts: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Event):
    """A try at a model request failed and is made again after `wait` seconds; `tried` counts from 1.

    So is a look at a batch, which belongs to no query.
    """

    name: ClassVar[str] = "retry"
    tried: int
    error: str
    status: int | None = None
    request_id: str | None = None
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Event):
    """One tool call. `call` numbers a query's calls from 0; `problem` is set where no proper result came.

    `error` holds the words of the server's JSON-RPC error, if it answered with one. `progress` counts the server's
    progress notifications, if any. `cancelled` is set if the call was abandoned and the server was notified (MCP,
    "Cancellation").
    """

    name: ClassVar[str] = "tool_call"
    call: int
    tool: str
    input: JsonObject
    is_error: bool = False
    problem: str | None = None
    error: str | None = None
    progress: int | None = None
    cancelled: bool | None = None
    server: int
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRetry(Event):
    """A call is sent once more after `wait` seconds: the server asks for that, and its tool declares that it may be.

    `problem` is what the first one met.
    """

    name: ClassVar[str] = "call_retry"
    server: int
    call: int | None
    tool: str
    problem: str
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptGet(Event):
    """A prompt of the server was requested (`prompts/get`); `problem` is set where it could not be had.

    `error` holds the words of the server's JSON-RPC error, if it answered with one.
    """

    name: ClassVar[str] = "prompt_get"
    prompt: str
    arguments: JsonObject
    problem: str | None = None
    error: str | None = None
    server: int
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRead(Event):
    """A resource of the server was read (`resources/read`); `problem` is set where it could not be.

    `error` holds the words of the server's JSON-RPC error, if it answered with one.
    """

    name: ClassVar[str] = "resource_read"
    uri: str
    problem: str | None = None
    error: str | None = None
    server: int
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRequest(Event):
    """A server asked for something (`kind`: elicitation, sampling or roots), and was answered.

    Where no query is named, it can't be told whose it was. `message` is what it asked, `answer` the action of an
    elicitation or the model's text; `reason` says why it got no more. Of a model that was asked there are its name, its
    stop reason and its tokens.
    """

    name: ClassVar[str] = "asked"
    server: int
    kind: str
    call: int | None = None
    message: str | None = None
    url: str | None = None
    answer: str | None = None
    content: JsonObject | None = None
    reason: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLogged(Event):
    """A log message that a server sent (MCP, "Logging"); as of no query where it can't be told whose it was."""

    name: ClassVar[str] = "log"
    server: int
    call: int | None = None
    level: str
    logger: str | None = None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress(Event):
    """How far a server says that a call has come (MCP, "Progress"); the first of a call are told, all are counted."""

    name: ClassVar[str] = "progress"
    server: int
    call: int | None
    progress: float
    total: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsChanged(Event):
    """A server says that its tools have changed; or, with `changes`, they were listed again for the next query."""

    name: ClassVar[str] = "tools_changed"
    server: int
    changes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningEvent(Event):
    """Something that the user should know of, and that ends nothing; `traceback` is for the trace alone."""

    name: ClassVar[str] = "warning"
    message: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRestart(Event):
    """A server is gone and started again, after `wait` seconds; so many restarts are `left` then."""

    name: ClassVar[str] = "server_restart"
    wait: float
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkLog(Event):
    """A warning that one of the SDKs logged, such as a line of a server's stdout that is no message."""

    name: ClassVar[str] = "sdk_log"
    logger: str
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd(Event):
    """One try at a query is over. Of its `seconds`, `waited` were waiting: for a rate limit, for a server."""

    name: ClassVar[str] = "attempt_end"
    waited: float = 0.0
    stop: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeEnd(Event):
    """In a chat, a message of the user is answered and the conversation may go on. `transcript` is how it stands."""

    name: ClassVar[str] = "exchange_end"
    unwritten: ClassVar[frozenset[str]] = frozenset({"where", "transcript"})
    transcript: Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryEnd(Event):
    """A query is done: its transcript is final. The trace holds only the verdict."""

    name: ClassVar[str] = "query_end"
    unwritten: ClassVar[frozenset[str]] = frozenset({"where", "transcript"})
    transcript: Transcript

    def line(self, at: str) -> JsonObject:
        """Give the JSON object of the trace."""
        return Event.line(self, at) | {"verdict": self.transcript.verdict}


Emit = Callable[[Event], None]
"""How the engine tells what happens. Called in the event loop's thread, in order of happening."""


@cache
def _written(kind: type[Event]) -> tuple[tuple[str, ...], Callable[[Event], tuple[Any, ...]]]:
    """Name the fields that are written, and give what reads them all, in one go."""
    names = tuple(field.name for field in fields(kind) if field.name not in kind.unwritten)
    return names, attrgetter(*names)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    return value.line() if isinstance(value, Usage) else value
