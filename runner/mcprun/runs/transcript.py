"""The lines of `transcripts.jsonl`: transcripts and their parts, as Pydantic models.

Keys are always present, `null` if unknown, so that `jq` needs no guards. Only `tags`, `metadata`, `expect`, `vars`,
`steps`, `routed`, `asked`, `given`, `problem` and `cache_creation` are left out when empty. A transcript holds no times
and no random values of mcprun's: the same prompts, server, and script or recording produce the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import Field

from mcprun._util.json_value import JsonObject
from mcprun._util.short_repr import short_repr
from mcprun.errors import ErrorKind
from mcprun.runs.record_base import SCHEMA, Record, Schema, Shape

Key = tuple[str, int]
"""A query's id, and the number of the repeat."""


UNGRADED = "ungraded"
"""The `stop` of a query that a routed run does not grade."""


class Verdict(StrEnum):
    """The result of a query. `skipped` means that the run ended before the query was started or completed."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class CacheCreation(Record):
    """Tokens written to the prompt cache, by time to live (Messages API, `usage.cache_creation`)."""

    ephemeral_5m_input_tokens: int = Field(default=0, ge=0)
    ephemeral_1h_input_tokens: int = Field(default=0, ge=0)

    def __add__(self, other: CacheCreation) -> CacheCreation:
        return CacheCreation(
            ephemeral_5m_input_tokens=self.ephemeral_5m_input_tokens + other.ephemeral_5m_input_tokens,
            ephemeral_1h_input_tokens=self.ephemeral_1h_input_tokens + other.ephemeral_1h_input_tokens,
        )


class Usage(Record):
    """Token counts of the Messages API (https://docs.claude.com/en/api/messages, `usage`).

    `cache_creation` splits `cache_creation_input_tokens` by time to live. It is absent if the API did not send it.
    """

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cache_creation_input_tokens: int = Field(default=0, ge=0)
    cache_read_input_tokens: int = Field(default=0, ge=0)
    cache_creation: CacheCreation | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def written_for_1h(self) -> int:
        """Tokens written to the prompt cache for one hour, which cost more than those written for five minutes."""
        written = self.cache_creation.ephemeral_1h_input_tokens if self.cache_creation else 0
        return min(written, self.cache_creation_input_tokens)

    @property
    def total(self) -> int:
        """All input and output tokens."""
        return self.read + self.output_tokens

    @property
    def read(self) -> int:
        """All input tokens, including those written to and read from the prompt cache."""
        return self.input_tokens + self.cache_creation_input_tokens + self.cache_read_input_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_creation_input_tokens=self.cache_creation_input_tokens + other.cache_creation_input_tokens,
            cache_read_input_tokens=self.cache_read_input_tokens + other.cache_read_input_tokens,
            cache_creation=self._split + other._split if self.cache_creation or other.cache_creation else None,
        )

    @property
    def _split(self) -> CacheCreation:
        """Cache writes by time to live. If the API does not split them, all count as five minutes, its default."""
        return self.cache_creation or CacheCreation(ephemeral_5m_input_tokens=self.cache_creation_input_tokens)


class Turn(Record):
    """The stop reason and tokens of one model reply. With its content in `messages`, a replay can reproduce it."""

    fixed = frozenset({"stop_reason"})
    stop_reason: str
    usage: Usage | None = None


class Call(Record):
    """One tool call and its result. `tool` and `input` use the server's names, not those mapped for the API.

    `content` and `structured` are `content` and `structuredContent` of the MCP result, unchanged. `diverged` is set in
    a replay if the result differs from the recording. `problem` classifies a result that mcprun worded, such as one of
    a time-out; the key is absent if the server sent the result. Two results with a problem are compared by it, since
    the wording may change between versions.
    """

    shaped: ClassVar[Mapping[str, Shape]] = {"content": "content"}
    turn: int
    tool: str
    input: JsonObject
    is_error: bool
    content: list[JsonObject]
    structured: Any = None
    diverged: bool = False
    problem: str | None = Field(default=None, exclude_if=lambda value: value is None)

    def __repr__(self) -> str:
        """Return the tool and the input, shortened, and whether the result is an error: `<Call add {'a': 2}>`."""
        return f"<Call {short_repr(self.tool)[1:-1]} {short_repr(self.input)}{': error' if self.is_error else ''}>"

    __str__ = __repr__


class RoutedCall(Record):
    """A call that the model asked for in a routed run, which makes none. The tool of a `decoy` is another server's."""

    tool: str
    input: JsonObject
    decoy: bool = Field(default=False, exclude_if=lambda value: not value)


class StepCall(Record):
    """A call or read that mcprun made itself before or after a conversation, and its result.

    `phase` is the list of the query that the step is in, and `step` its index there. `id` is absent if it has none. A
    call has a `tool`, an `input` and a `structured`, and its `content` is that of the MCP result. A read has a
    `resource`, and its `content` holds the `contents` of the MCP result. `problem` is as in `Call`.
    """

    fixed = frozenset({"phase"})
    shaped: ClassVar[Mapping[str, Shape]] = {"content": "content"}
    phase: Literal["before", "after", "cleanup"]
    step: int
    id: str | None = Field(default=None, exclude_if=lambda value: value is None)
    tool: str | None = Field(default=None, exclude_if=lambda value: value is None)
    resource: str | None = Field(default=None, exclude_if=lambda value: value is None)
    input: JsonObject = Field(default_factory=dict)
    is_error: bool
    content: list[JsonObject]
    structured: Any = None
    problem: str | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def name(self) -> str:
        """The name of the step, and of its check if it has one: `after.closed` with an id, else `after[0]`."""
        return step_name(self.phase, self.step, self.id)

    def __repr__(self) -> str:
        """Return the phase, the tool or resource, and whether the result is an error: `<StepCall after get: error>`."""
        what = short_repr(self.tool or self.resource)[1:-1]
        return f"<StepCall {self.phase} {what}{': error' if self.is_error else ''}>"

    __str__ = __repr__


def step_name(phase: str, step: int, id_: str | None) -> str:
    """Return the name of a step: its phase with its id, else with its number."""
    return f"{phase}.{id_}" if id_ else f"{phase}[{step}]"


class Asked(Record):
    """A request from the server during a query (`kind`: elicitation or sampling), and the answer to it.

    `request` holds the `params` of the request, and `answer` the result. `reason` explains a missing or limited answer.
    `call` is the index of the tool call that the request belongs to, if known. `usage` counts the model's tokens.
    """

    fixed = frozenset({"kind"})
    kind: Literal["elicitation", "sampling"]
    turn: int
    call: int | None = None
    request: JsonObject
    answer: JsonObject | None = None
    reason: str | None = None
    usage: Usage | None = None


class Check(Record):
    """One expectation and whether it held. If not, `message` states what was expected and what the result was.

    A `judge` check also has the `rubric`, and its message gives the judge's reason in either case.
    """

    fixed = frozenset({"check"})
    check: str
    passed: bool
    message: str | None = None
    rubric: str | None = None


class ErrorInfo(Record):
    """Why a query, or a whole run, could not be completed."""

    kind: ErrorKind
    message: str


class Said(Record):
    """Messages without a transcript, to redact them as those of a transcript are redacted."""

    shaped: ClassVar[Mapping[str, Shape]] = {"messages": "messages"}
    messages: list[JsonObject]


class Given(Record):
    """How many `messages` at the start of a transcript come from the server's own prompt or resources.

    `diverged` is set in a replay if they differ from the recording.
    """

    messages: int = Field(ge=0)
    diverged: bool = False


class Transcript(Record):
    """The conversation of a query's last attempt: one line of `transcripts.jsonl`.

    `messages` is the conversation as sent to and received from the Messages API, so that it can be replayed. If it
    starts with messages from the server's own prompt or resources, `given` counts them; otherwise the key is absent.
    `stop` is the model's last stop reason, or one of mcprun's own: `max_turns`, `max_calls`, `diverged`, `timeout`,
    `error`, `cancelled`. `tags`, `metadata` and `expect` are those of the query, without defaults. `vars` maps the
    query's names to the values that replaced them. `steps` lists what mcprun called and read itself, and `asked` the
    server's requests. Each of these keys is absent if it is empty. `routed` lists the calls that the model asked for in
    its first turn; it is absent unless the run is routed. A routed run skips queries that can't be graded, with the
    `stop` of `UNGRADED`.
    """

    fixed = frozenset({"id", "stop", "model"})
    shaped: ClassVar[Mapping[str, Shape]] = {"messages": "messages"}
    schema_: Schema = Field(default=SCHEMA, alias="schema")
    id: str
    repeat: int = 1
    verdict: Verdict
    stop: str
    prompt: str | list[Any]
    system: str | None = None
    tags: list[str] = Field(default_factory=list, exclude_if=lambda value: not value)
    metadata: JsonObject = Field(default_factory=dict, exclude_if=lambda value: not value)
    expect: JsonObject = Field(default_factory=dict, exclude_if=lambda value: not value)
    model: str
    messages: list[JsonObject]
    given: Given | None = Field(default=None, exclude_if=lambda value: value is None)
    calls: list[Call]
    routed: list[RoutedCall] | None = Field(default=None, exclude_if=lambda value: value is None)
    vars: JsonObject = Field(default_factory=dict, exclude_if=lambda value: not value)
    steps: list[StepCall] = Field(default_factory=list, exclude_if=lambda value: not value)
    asked: list[Asked] = Field(default_factory=list, exclude_if=lambda value: not value)
    text: str
    checks: list[Check]
    turns: list[Turn]
    attempts: int = 1
    usage: Usage | None = None
    error: ErrorInfo | None = None

    def __repr__(self) -> str:
        """Return the id, the verdict and the size: `<Transcript 'add': passed, turns: 2, calls: 1>`."""
        repeat = f" (repeat {self.repeat})" if self.repeat > 1 else ""
        sizes = f"turns: {len(self.turns)}, calls: {len(self.calls)}"
        return f"<Transcript {short_repr(self.id)}{repeat}: {self.verdict}, {sizes}>"

    __str__ = __repr__

    @property
    def is_ungraded(self) -> bool:
        """Whether the query was skipped by a routed run because it can't be graded."""
        return self.verdict is Verdict.SKIPPED and self.stop == UNGRADED

    @property
    def begins(self) -> int:
        """The index in `messages` from which assistant messages are turns of the model."""
        return self.given.messages if self.given else 0

    @property
    def diverged(self) -> int:
        """The number of calls whose result differs from the recording, plus one if `given` does."""
        return sum(call.diverged for call in self.calls) + bool(self.given and self.given.diverged)

    @property
    def cause(self) -> str:
        """The reason why the query did not pass, in one line. Empty if it passed."""
        return "; ".join(self.causes)

    @property
    def causes(self) -> list[str]:
        """The reasons why the query did not pass: its error, or the message of each check that failed."""
        if self.error:
            return [f"{self.error.kind}: {self.error.message}"]
        return [check.message or check.check for check in self.checks if not check.passed]


class _CallSummary(Record):
    is_error: bool
    diverged: bool = False


class _GivenSummary(Record):
    diverged: bool = False


class TranscriptSummary(Record):
    """The fields of a `Transcript` that identify and count it. Other keys must be valid JSON and are ignored."""

    schema_: Schema = Field(default=SCHEMA, alias="schema")
    id: str
    repeat: int = 1
    verdict: Verdict
    stop: str = ""
    calls: list[_CallSummary]
    given: _GivenSummary | None = None
    turns: list[Any]
    usage: Usage | None = None

    @property
    def has_content(self) -> bool:
        """Whether the transcript holds anything that would be lost without it: a verdict, turns or calls."""
        return self.verdict is not Verdict.SKIPPED or self.is_ungraded or bool(self.turns or self.calls)

    @property
    def is_ungraded(self) -> bool:
        """Whether the query was skipped by a routed run because it can't be graded."""
        return self.verdict is Verdict.SKIPPED and self.stop == UNGRADED

    @property
    def diverged(self) -> int:
        """The number of divergences, counted like `Transcript.diverged`."""
        return sum(call.diverged for call in self.calls) + bool(self.given and self.given.diverged)


class CallOutcome(Record):
    """The fields of a `Call` that identify what was called, and whether it failed. Other keys are ignored."""

    tool: str
    input: JsonObject
    is_error: bool
    problem: str | None = None


class StepOutcome(Record):
    """The fields of a `StepCall` that identify what was called, and whether it failed. Other keys are ignored."""

    tool: str | None = None
    input: JsonObject = Field(default_factory=dict)
    is_error: bool
    problem: str | None = None


class TranscriptOutcomes(Record):
    """The calls of a `Transcript` and its steps, and its error. Other keys must be valid JSON and are ignored."""

    schema_: Schema = Field(default=SCHEMA, alias="schema")
    calls: list[CallOutcome]
    steps: list[StepOutcome] = Field(default_factory=list)
    error: ErrorInfo | None = None
