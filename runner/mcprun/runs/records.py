"""The file formats of a run, as values: what `run.json` and each line of `transcripts.jsonl` hold.

Every key but `asked` and `given` is always there, `null` where nothing is known, so that `jq` needs no guards.
A transcript holds no times and nothing random of ours: the same prompts against the same server from the
same script or recording give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind, ExitCode

"""A JSON object as `json.loads` gives it."""

Shape = Literal["messages", "content", "arguments"]
"""The format that defines a JSON value's keys: the Messages API, MCP content and tools, or mcprun's arguments."""

SCHEMA = 1
"""Version of both formats; it rises when a reader of the old one would misread the new one."""

Schema = Annotated[int, Field(strict=True, ge=1, le=SCHEMA)]
"""A version of the formats that this mcprun reads."""


class Verdict(StrEnum):
    """How a query ended; `skipped` is one that the run ended before: not started, or not done."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class Record(BaseModel):
    """Base of everything that is written to a run directory."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold words of a format, or names that runs are compared by: nothing in them is a secret."""
    shaped: ClassVar[Mapping[str, Shape]] = {}
    """Fields of JSON whose keys a format defines."""

    def line(self) -> JsonObject:
        """Give the record as the JSON object that is written."""
        return self.model_dump(mode="python", by_alias=True)


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
    """Tokens, as the Messages API counts them (https://docs.claude.com/en/api/messages, `usage`).

    `cache_creation` splits `cache_creation_input_tokens` by time to live. Absent if the API did not send it.
    """

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cache_creation_input_tokens: int = Field(default=0, ge=0)
    cache_read_input_tokens: int = Field(default=0, ge=0)
    cache_creation: CacheCreation | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def written_for_1h(self) -> int:
        """Tokens written to the prompt cache for one hour, which cost more than those for five minutes."""
        written = self.cache_creation.ephemeral_1h_input_tokens if self.cache_creation else 0
        return min(written, self.cache_creation_input_tokens)

    @property
    def total(self) -> int:
        """All tokens, read and written."""
        return self.read + self.output_tokens

    @property
    def read(self) -> int:
        """All tokens of the input, also those that stand in the cache."""
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
        """The tokens by time to live. If the API does not split them, all count for five minutes, its default."""
        return self.cache_creation or CacheCreation(ephemeral_5m_input_tokens=self.cache_creation_input_tokens)


class Turn(Record):
    """One reply of the model. What it said stands in `messages`; this is what a replay needs besides."""

    fixed = frozenset({"stop_reason"})
    stop_reason: str
    usage: Usage | None = None


class Call(Record):
    """One tool call: what was asked of the server (its own names, not the API's), and what came back.

    `content` and `structured` are the MCP result's `content` and `structuredContent`, untouched. `diverged` tells, in a
    replay, that something else came back than was recorded.
    """

    shaped: ClassVar[Mapping[str, Shape]] = {"content": "content"}
    turn: int
    tool: str
    input: JsonObject
    is_error: bool
    content: list[JsonObject]
    structured: Any = None
    diverged: bool = False


class Asked(Record):
    """What a server asked during a query (`kind`: elicitation or sampling), and what it was answered.

    `request` holds the `params` of the wire, `answer` the result; `reason` says why there is none, or why it is no
    more than that. `call` is the call that it was asked for, where that is known, `usage` the model's tokens.
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
    """One expectation and whether it held; `message` says what was expected and what was got where not.

    Of a `judge`, there is the `rubric` as well, and the message gives the reason in either case.
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
    """Messages alone, so that they can be cleaned as those of a transcript are."""

    shaped: ClassVar[Mapping[str, Shape]] = {"messages": "messages"}
    messages: list[JsonObject]


class Given(Record):
    """What a query took from the server to begin with: the first so many `messages` of its transcript hold it.

    `diverged` tells, in a replay, that something else came than was recorded.
    """

    messages: int = Field(ge=0)
    diverged: bool = False


class Transcript(Record):
    """What was said in a query's last attempt: one line of `transcripts.jsonl`.

    `messages` is the conversation as it went over the wire (Messages API shape), so that it can be replayed. Where the
    first of them came of the server's own prompt or resources, `given` counts those; it is absent in all others.
    `stop` is the last stop reason of the model, or ours: `max_turns`, `max_calls`, `diverged`, `timeout`,
    `error`, `cancelled`. `asked` is what the server asked meanwhile; a transcript in which it asked nothing has no such
    key.
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
    model: str
    messages: list[JsonObject]
    given: Given | None = None
    calls: list[Call]
    asked: list[Asked] = Field(default_factory=list)
    text: str
    checks: list[Check]
    turns: list[Turn]
    attempts: int = 1
    usage: Usage | None = None
    error: ErrorInfo | None = None

    def line(self) -> JsonObject:
        """Give the record as the JSON object that is written."""
        line = Record.line(self)
        if not self.asked:
            del line["asked"]
        if not self.given:
            del line["given"]
        return line

    @property
    def begins(self) -> int:
        """The place in `messages` from which on an assistant's message is a turn of the model."""
        return self.given.messages if self.given else 0

    @property
    def diverged(self) -> int:
        """How many of the calls, and of what was given, brought something else than was recorded."""
        return sum(call.diverged for call in self.calls) + bool(self.given and self.given.diverged)

    @property
    def cause(self) -> str:
        """One line that names why the query did not pass; empty when it did."""
        if self.error:
            return f"{self.error.kind}: {self.error.message}"
        return "; ".join(check.message or check.check for check in self.checks if not check.passed)


class Counts(Record):
    """Totals over transcripts. `usage` is `None` when no reply told its tokens (script)."""

    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    calls: int = 0
    tool_errors: int = 0
    diverged: int = 0
    turns: int = 0
    usage: Usage | None = None

    @property
    def queries(self) -> int:
        """How many transcripts were counted."""
        return self.done + self.skipped

    @property
    def done(self) -> int:
        """How many queries were tried to their end."""
        return self.passed + self.failed + self.error


class RepeatsRecord(Record):
    """How a query did that was run several times. `pass_rate` is of all `runs`, those with errors included.

    `low` and `high` bound the true rate (95 %). `pass_at` and `pass_hat` hold, for 1, 2, … tries, how likely one of
    them and all of them pass. `required` is the rate that was asked for, if any; `flaky` is what passes and fails.
    """

    fixed = frozenset({"id"})
    id: str
    runs: int
    passed: int
    failed: int
    error: int
    skipped: int
    pass_rate: float
    low: float
    high: float
    pass_at: list[float]
    pass_hat: list[float]
    flaky: bool
    required: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether enough repeats passed for the `required` rate. `pass_rate` is rounded, so the counts decide."""
        return self.required is not None and self.passed / self.runs >= self.required


class Malformed(Record):
    """A malformed tool, prompt or resource in a server's list. `item` is its name, or its place on its page.

    With the rule `malformed` the item is left out; with `ignored` only the field that the message names.
    """

    fixed = frozenset({"rule"})
    item: str
    rule: Literal["malformed", "ignored"]
    message: str


class ServerRecord(Record):
    """The server that answered: how it describes itself, its tools, and the tools that can't be sent.

    `malformed` lists malformed entries of its list of tools, which are not in `tools`.
    """

    fixed = frozenset({"protocol"})
    shaped: ClassVar[Mapping[str, Shape]] = {"tools": "content"}
    name: str | None = None
    version: str | None = None
    protocol: str
    tools: list[JsonObject]
    malformed: list[Malformed] = []
    warnings: list[str] = []


class PromptsRecord(Record):
    """Which prompts were asked: the file as the user named it, and the SHA-256 of its bytes.

    `queries` were selected, which makes so many `runs`, repeats counted; of a `shard`, such as `1/4`, its own. Where
    that is all that the file holds, and no query asks for repeats, `scripted` and `judged` count those with a script
    and with a rubric: a run that goes on need not check the file again.
    """

    fixed = frozenset({"sha256", "shard"})
    file: str
    sha256: str
    queries: int
    runs: int = 0
    shard: str | None = None
    scripted: int | None = None
    judged: int | None = None


class ModelRecord(Record):
    """Which model answered, or graded: the kind of source (`claude`, or its provider), its name, how it was chosen."""

    fixed = frozenset({"kind", "name", "chosen"})
    kind: Literal["claude", "bedrock", "vertex", "foundry", "script", "replay"]
    name: str
    chosen: str

    @property
    def is_asked(self) -> bool:
        """Whether a model is asked, over the network; scripts and recordings are not."""
        return self.kind not in ("script", "replay")


class RunRecord(Record):
    """`run.json`: what was asked, what answered, and, once `state` is no longer `started`, how it ended.

    `started` and `finished` are ISO 8601 in UTC. `seconds` is the wall time spent in running: of a run that was
    resumed, without the pauses, and without what came before a kill. `folder` is where it was begun: paths in
    `arguments` are seen from there. A `slim` baseline has no messages, and can't be played back. `again` names queries
    (id and repeat) whose errors belong to the end of the run: `--resume` runs them again.
    """

    fixed = frozenset({"state", "started", "finished", "limits", "versions"})
    shaped: ClassVar[Mapping[str, Shape]] = {"arguments": "arguments"}
    schema_: Schema = Field(default=SCHEMA, alias="schema")
    state: Literal["started", "finished", "interrupted"]
    started: str
    finished: str | None = None
    seconds: float | None = None
    arguments: JsonObject
    folder: str | None = None
    slim: bool = False
    prompts: PromptsRecord
    model: ModelRecord
    judge: ModelRecord | None = None
    limits: JsonObject
    versions: dict[str, str]
    server: ServerRecord | None = None
    counts: Counts | None = None
    repeats: list[RepeatsRecord] = []
    error: ErrorInfo | None = None
    again: list[tuple[str, int]] = Field(default=[], exclude_if=lambda value: not value)

    @property
    def failures(self) -> int:
        """How many runs of queries failed, but for those of queries that reach the pass rate that was asked for."""
        failed = self.counts.failed if self.counts else 0
        return failed - sum(one.failed for one in self.repeats if one.is_met)

    @property
    def exit_code(self) -> ExitCode:
        """What the run means to CI: an interrupt outweighs a failure, and that an error or what was not tried."""
        counts = self.counts or Counts()
        if self.state == "started" or (self.error and self.error.kind is ErrorKind.CANCELLED):
            return ExitCode.INTERRUPTED
        if self.failures or any(one.required and not one.is_met for one in self.repeats):
            return ExitCode.FAILED
        is_whole = self.state == "finished" and not self.error and not counts.error and not counts.skipped
        return ExitCode.PASSED if is_whole else ExitCode.ERROR
