"""The events of a run as plain values. The engine emits them and knows no consumer.

Each event becomes one line of `trace.jsonl`: `event` (its name), `at` (added by the writer), where it occurred
(`query`, `repeat`, `attempt`, `turn`), `seconds`, and its own fields. Fields that are None are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar

from mcprun._util.json_value import JsonObject
from mcprun.runs.run_record import Malformed
from mcprun.runs.transcript import Transcript, Usage


@dataclass(frozen=True, slots=True)
class AttemptRef:
    """The query, repeat and attempt that an event belongs to."""

    query: str
    repeat: int = 1
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. `name` is the value of `event` in the trace, and `seconds` is the duration."""

    name: ClassVar[str]
    unwritten: ClassVar[frozenset[str]] = frozenset({"where"})
    where: AttemptRef | None = None
    turn: int | None = None
    seconds: float | None = None

    def line(self, at: str) -> JsonObject:
        """Return the JSON object for the trace. `at` is the time in UTC, as ISO 8601."""
        line: JsonObject = {"event": self.name, "at": at}
        if where := self.where:
            line |= {"query": where.query, "repeat": where.repeat, "attempt": where.attempt}
        names, values = _written(type(self))  # type: ignore[arg-type]  # mypy looks at the hash of an instance
        for name, value in zip(names, values(self), strict=True):
            if value is not None:
                kind = type(value)
                line[name] = round(value, 6) if kind is float else value.line() if kind is Usage else value
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart(Event):
    """A run starts or resumes, with `done` of its `queries` completed. `chosen` is the reason for the `model`."""

    name: ClassVar[str] = "run_start"
    queries: int
    done: int
    model: str
    chosen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorStart(Event):
    """With `--ray`, an actor is ready. `actor` is its number, `node` the IP address of its node."""

    name: ClassVar[str] = "actor_start"
    actor: int
    pid: int
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStart(Event):
    """A server has started. `server` numbers the servers of a run. `log_offset` is where its stderr starts."""

    name: ClassVar[str] = "server_start"
    server: int
    server_name: str | None
    version: str | None
    protocol: str
    tools: int
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerExit(Event):
    """A server has ended: mcprun shut it down, or it `died`."""

    name: ClassVar[str] = "server_exit"
    server: int
    died: bool
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRenewed(Event):
    """A server rejected its HTTP session with `status`, and a new session was opened in `seconds`."""

    name: ClassVar[str] = "session_renewed"
    server: int
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise(Event):
    """A server wrote a line to stdout that is not a protocol message."""

    name: ClassVar[str] = "noise"
    server: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayAnswer(Event):
    """A server sent a response whose id matches no request. `text` holds the response and how it was handled."""

    name: ClassVar[str] = "stray_answer"
    server: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall(Event):
    """One model request and its reply, or the `error`. `batch` is the id of the Message Batch it was part of."""

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
    """One request to the judge about one rubric, and the stop reason and tokens of its reply, or the `error`."""

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
    """A `wave` of requests is about to be sent. Emitted first, so that its batch can be found even if its id is lost.

    `requests` holds one object per request: its `custom_id`, and its `query`, `repeat`, `attempt` and `turn`.
    """

    name: ClassVar[str] = "batch_asked"
    wave: str
    requests: list[JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSent(Event):
    """A wave was submitted as a Message Batch of `size` requests. Emitted before waiting for its results."""

    name: ClassVar[str] = "batch_sent"
    wave: str
    batch: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnded(Event):
    """The results of a Message Batch were fetched, `seconds` after it was sent. `counts` counts them by type."""

    name: ClassVar[str] = "batch_ended"
    batch: str
    counts: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Event):
    """A model request failed and is retried after `wait` seconds. `tried` counts the tries from 1.

    Also emitted for requests about a Message Batch, without a query.
    """

    name: ClassVar[str] = "retry"
    tried: int
    error: str
    status: int | None = None
    request_id: str | None = None
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Event):
    """One tool call. `call` numbers a query's calls from 0. `problem` is set if mcprun synthesised the result.

    `error` holds the server's JSON-RPC error, if it responded with one. `progress` counts the server's
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
class Step(Event):
    """One step of a query: a call or read before or after the conversation (`phase`).

    `step` numbers the steps of the phase from 0, and `id` is the step's own. A call has a `tool` and an `input`, a read
    a `resource`. `skipped` is the reason why nothing was sent. The other fields are those of a `ToolCall`.
    """

    name: ClassVar[str] = "step"
    phase: str
    step: int
    id: str | None = None
    tool: str | None = None
    input: JsonObject | None = None
    resource: str | None = None
    is_error: bool = False
    problem: str | None = None
    error: str | None = None
    progress: int | None = None
    skipped: str | None = None
    server: int
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRetry(Event):
    """A call is sent again after `wait` seconds: the server asks for it, and the tool declares that it is safe.

    `problem` describes how the first one failed.
    """

    name: ClassVar[str] = "call_retry"
    server: int
    call: int | None
    tool: str
    problem: str
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptGet(Event):
    """A prompt was requested from the server (`prompts/get`). `problem` is set if that failed.

    `error` holds the server's JSON-RPC error, if it responded with one.
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
    """A resource of the server was read (`resources/read`). `problem` is set if that failed.

    `error` holds the server's JSON-RPC error, if it responded with one.
    """

    name: ClassVar[str] = "resource_read"
    uri: str
    problem: str | None = None
    error: str | None = None
    server: int
    log_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRequest(Event):
    """A server sent a request (`kind`: elicitation, sampling or roots), and mcprun answered it.

    The event has no query if the request could not be attributed to one. `message` is the text of the request, and
    `answer` the action of an elicitation or the model's text. `reason` explains a missing or limited answer. `model`,
    `stop_reason` and `usage` are set if a model was called.
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
    """A server sent a log message (MCP, "Logging"). It has no query if it could not be attributed to one."""

    name: ClassVar[str] = "log"
    server: int
    call: int | None = None
    level: str
    logger: str | None = None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress(Event):
    """A server reported the progress of a call (MCP, "Progress"). Only the first reports of a call are emitted."""

    name: ClassVar[str] = "progress"
    server: int
    call: int | None
    progress: float
    total: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsChanged(Event):
    """A server announced that its tools changed, or, with `changes`, they were listed again for the next query."""

    name: ClassVar[str] = "tools_changed"
    server: int
    changes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsListed(Event):
    """A session listed other tools than the session before it, or than it did earlier. The trace holds their `names`.

    `tools` are in wire form, and `malformed` are the malformed entries of the list. `run.json` holds them.
    """

    name: ClassVar[str] = "tools_listed"
    unwritten: ClassVar[frozenset[str]] = frozenset({"where", "tools", "malformed"})
    server: int
    names: list[str]
    tools: list[JsonObject]
    malformed: list[Malformed]

    @classmethod
    def of(cls, server: int, tools: Sequence[JsonObject], malformed: Sequence[Malformed]) -> ToolsListed:
        """Return the event for a list of tools of the server with this number."""
        return cls(server=server, names=[tool["name"] for tool in tools], tools=[*tools], malformed=[*malformed])


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogListed(Event):
    """A server's prompts and resources were listed, once a query had used one of them.

    `prompts` are names, `resources` URIs and `resource_templates` URI templates, None if the list failed. `run.json`
    holds them; the trace their number.
    """

    name: ClassVar[str] = "catalog_listed"
    unwritten: ClassVar[frozenset[str]] = frozenset({"where", "prompts", "resources", "resource_templates"})
    server: int
    counts: JsonObject
    prompts: list[str] | None
    resources: list[str] | None
    resource_templates: list[str] | None

    @classmethod
    def of(cls, server: int, lists: Mapping[str, list[str] | None]) -> CatalogListed:
        """Return the event for the lists of the server with this number, by their keys in `ServerRecord`."""
        counts = {key: None if names is None else len(names) for key, names in lists.items()}
        return cls(
            server=server,
            counts=counts,
            prompts=lists["prompts"],
            resources=lists["resources"],
            resource_templates=lists["resource_templates"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningEvent(Event):
    """A warning for the user, which ends neither query nor run. `traceback` is shown only in the trace."""

    name: ClassVar[str] = "warning"
    message: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRestart(Event):
    """A server has ended and is restarted after `wait` seconds. After that, `left` restarts remain.

    `is_remote` is set for a server at a URL, to which mcprun connects again.
    """

    name: ClassVar[str] = "server_restart"
    wait: float
    left: int
    is_remote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkLog(Event):
    """A warning that one of the SDKs logged, such as about a line on stdout that is not a protocol message."""

    name: ClassVar[str] = "sdk_log"
    logger: str
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd(Event):
    """An attempt at a query has ended. `waited` seconds of its `seconds` were spent on a rate limit or a server."""

    name: ClassVar[str] = "attempt_end"
    waited: float = 0.0
    stop: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeEnd(Event):
    """In a chat, a message from the user was answered. `transcript` is the conversation so far."""

    name: ClassVar[str] = "exchange_end"
    unwritten: ClassVar[frozenset[str]] = frozenset({"where", "transcript"})
    transcript: Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryEnd(Event):
    """A query has ended, and its transcript is final. Of the transcript, only the verdict is written to the trace.

    `worker` numbers the queries that run at the same time, from 0; a worker runs one query after another.
    """

    name: ClassVar[str] = "query_end"
    unwritten: ClassVar[frozenset[str]] = frozenset({"where", "transcript"})
    transcript: Transcript
    worker: int | None = None

    def line(self, at: str) -> JsonObject:
        """Return the JSON object for the trace, with the verdict."""
        return Event.line(self, at) | {"verdict": self.transcript.verdict}


Emit = Callable[[Event], None]
"""Receives the events of a run. Called in the thread of the event loop, in order of occurrence."""


@cache
def _written(kind: type[Event]) -> tuple[tuple[str, ...], Callable[[Event], tuple[Any, ...]]]:
    """Return the names of the fields that are written, and a function that reads all of them at once."""
    names = tuple(field.name for field in fields(kind) if field.name not in kind.unwritten)
    return names, attrgetter(*names)
