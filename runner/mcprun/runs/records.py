"""The file formats of a run as Pydantic models: `run.json` and the lines of `transcripts.jsonl`.

Keys are always present, `null` if unknown, so that `jq` needs no guards. Only `asked`, `given`, `again` and
`cache_creation` are left out when empty. A transcript holds no times and no random values of mcprun's: the same
prompts, server, and script or recording produce the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind, ExitCode

Shape = Literal["messages", "content", "arguments"]
"""The format that defines the keys of a JSON value.

`messages` is the Messages API, `content` MCP content and tools, and `arguments` mcprun's command-line arguments.
"""

SCHEMA = 1
"""Version of both formats. Increased when a reader of the old version would misread the new one."""

Schema = Annotated[int, Field(strict=True, ge=1, le=SCHEMA)]
"""A version of the formats that this mcprun can read."""


class Verdict(StrEnum):
    """The result of a query. `skipped` means that the run ended before the query was started or completed."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class Record(BaseModel):
    """Base of all records that are written to a run directory."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Fields that are never redacted: enumerated values, and names by which runs are compared."""
    shaped: ClassVar[Mapping[str, Shape]] = {}
    """JSON fields whose keys are defined by a format, by field name."""

    def line(self) -> JsonObject:
        """Return the record as the JSON object to write."""
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
    a replay if the result differs from the recording.
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
    `error`, `cancelled`. `asked` lists the server's requests; the key is absent if there were none.
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
        """Return the transcript as the JSON object to write, without empty `asked` and `given`."""
        line = Record.line(self)
        if not self.asked:
            del line["asked"]
        if not self.given:
            del line["given"]
        return line

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
        if self.error:
            return f"{self.error.kind}: {self.error.message}"
        return "; ".join(check.message or check.check for check in self.checks if not check.passed)


class Counts(Record):
    """Totals over transcripts. `usage` is None if no reply reported its tokens, as with scripts."""

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
        """The number of transcripts counted."""
        return self.done + self.skipped

    @property
    def done(self) -> int:
        """The number of transcripts with a verdict other than `skipped`."""
        return self.passed + self.failed + self.error


class RepeatsRecord(Record):
    """The results of a query that was run several times. `pass_rate` is over all `runs`, including errors.

    `low` and `high` are the 95 % confidence interval of the true rate. `pass_at` and `pass_hat` hold, for 1, 2, …
    tries, the probability that at least one of them passes and that all of them pass. `required` is the pass rate that
    the query demands, if any. `flaky` is set if the query both passed and failed.
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
        """Whether enough repeats passed for `required`. Computed from the counts, since `pass_rate` is rounded."""
        return self.required is not None and self.passed / self.runs >= self.required


class Malformed(Record):
    """A malformed tool, prompt or resource in a server's list. `item` is its name, or its position on its page.

    With the rule `malformed` the whole item is left out, with `ignored` only the field that the message names.
    """

    fixed = frozenset({"rule"})
    item: str
    rule: Literal["malformed", "ignored"]
    message: str


class ServerRecord(Record):
    """The server of a run: how it describes itself, its tools, and warnings about tools that can't be sent.

    `malformed` lists malformed entries of its tool list. Entries that are left out are not in `tools`.
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
    """The prompts of a run: the file as the user named it, and the SHA-256 of its bytes.

    `queries` is the number of selected queries, and `runs` counts their repeats as well; with a `shard`, such as `1/4`,
    both count those of the shard. `scripted` and `judged` count queries with a script and with a rubric. They are set
    only if the whole file is selected and no query has repeats, and spare a resumed run from checking the file again.
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
    """The model of a run, or its judge: the kind of source (`claude`, or a provider), its name, how it was chosen."""

    fixed = frozenset({"kind", "name", "chosen"})
    kind: Literal["claude", "bedrock", "vertex", "foundry", "script", "replay"]
    name: str
    chosen: str

    @property
    def is_asked(self) -> bool:
        """Whether requests go to a model over the network, as opposed to a script or a recording."""
        return self.kind not in ("script", "replay")


class RunRecord(Record):
    """`run.json`: the inputs of a run, its model and server, and its outcome once `state` is no longer `started`.

    `started` and `finished` are ISO 8601 in UTC. `seconds` is the wall time spent running. For a resumed run it
    excludes the pauses, and the time before a kill. `folder` is the working directory at the start, to which paths in
    `arguments` are relative. A `slim` baseline has no messages and can't be replayed. `again` lists the queries (id and
    repeat) whose errors were caused by the end of the run. `--resume` runs them again.
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
        """The number of failed repeats, except those of queries that reach their required pass rate."""
        failed = self.counts.failed if self.counts else 0
        return failed - sum(one.failed for one in self.repeats if one.is_met)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the run. An interrupt outweighs a failure, which outweighs errors and skipped queries."""
        counts = self.counts or Counts()
        if self.state == "started" or (self.error and self.error.kind is ErrorKind.CANCELLED):
            return ExitCode.INTERRUPTED
        if self.failures or any(one.required and not one.is_met for one in self.repeats):
            return ExitCode.FAILED
        is_whole = self.state == "finished" and not self.error and not counts.error and not counts.skipped
        return ExitCode.PASSED if is_whole else ExitCode.ERROR
