"""`run.json`: the record of a run and its parts, as Pydantic models.

Keys are always present, `null` if unknown, so that `jq` needs no guards. Only `again`, `configured` and those of tools
that a server listed later are left out when empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mcprun._util.json_value import JsonObject
from mcprun._util.plural import plural
from mcprun.errors import ErrorKind, ExitCode
from mcprun.runs.record_base import SCHEMA, SCHEMA_SINCE, Record, Schema, Shape
from mcprun.runs.routing_record import RoutingOutcome
from mcprun.runs.transcript import ErrorInfo, Usage

IN_PROCESS = " (in this process)"
"""The end of a recorded server that was an object of a program."""


def _named(tool: JsonObject) -> JsonObject:
    """Return a tool. Raises `PydanticCustomError` if it has no name: mcprun records only tools that have one."""
    if not isinstance(tool.get("name"), str):
        raise PydanticCustomError("unnamed", "a tool without a name")
    return tool


_Tool = Annotated[JsonObject, AfterValidator(_named)]
"""A tool in wire form."""


class Counts(Record):
    """Totals over transcripts. `usage` is None if no reply reported its tokens, as with scripts.

    `ungraded` counts those of the `skipped` that a routed run does not grade; the others were not run.
    """

    passed: int = 0
    failed: int = 0
    error: int = 0
    skipped: int = 0
    ungraded: int = Field(default=0, exclude_if=lambda value: not value)
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

    @property
    def not_run(self) -> int:
        """The number of transcripts of queries that were skipped because the run ended."""
        return self.skipped - self.ungraded


class RepeatsRecord(Record):
    """The results of a query that was run several times. `pass_rate` is over all `runs`, including errors.

    `low` and `high` are the 95 % confidence interval of the true rate. `pass_at` and `pass_hat` hold, for 1, 2, …
    tries, the probability that at least one of them passes and that all of them pass. `required` is the pass rate that
    the query requires, if any. `flaky` is set if the query both passed and failed.
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

    @property
    def is_below(self) -> bool:
        """Whether the query fails the run: fewer repeats passed than `required`, or one failed if all must pass."""
        return self.failed > 0 if self.required is None else not self.is_met


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

    `tools` is the list of the first session when it began, and `malformed` lists malformed entries of it. Entries that
    are left out are not in `tools`. `later_tools` and `later_malformed` hold what only other sessions, or later lists,
    had (`runs/tool_listings.py`); each key is absent if it is empty. `prompts` holds the names of its prompts,
    `resources` the URIs of its resources and `resource_templates` their URI templates, if they were listed: once a
    query has used one.
    """

    fixed = frozenset({"protocol"})
    shaped: ClassVar[Mapping[str, Shape]] = {"tools": "content", "later_tools": "content"}
    name: str | None = None
    version: str | None = None
    protocol: str
    tools: list[_Tool]
    malformed: list[Malformed] = Field(default_factory=list)
    later_tools: list[_Tool] = Field(default=[], exclude_if=lambda value: not value)
    later_malformed: list[Malformed] = Field(default=[], exclude_if=lambda value: not value)
    warnings: list[str] = Field(default_factory=list)
    prompts: list[str] | None = None
    resources: list[str] | None = None
    resource_templates: list[str] | None = None


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

    @property
    def unit(self) -> str:
        """What `runs` counts: each `query`, or if any is repeated, each `run` of one."""
        return "query" if self.runs == self.queries else "run"


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


class ComparedCounts(Record):
    """Totals of a comparison with a baseline; `analysis.diff.runs.DiffSummary` describes each."""

    same: int
    changed: int
    added: int
    removed: int
    regressions: int
    chance: int
    fewer: int
    breaking: int


class BaselineRecord(Record):
    """The run that a run is compared with (`path`, as the user named it), and the outcome.

    `compared` is None until the run has been compared, at its end. `differences.jsonl` then lists the differences.
    """

    path: str
    compared: ComparedCounts | None = None

    @property
    def regressions(self) -> int:
        """The number of regressions, breaking changes of tools included."""
        return self.compared.regressions if self.compared else 0


class RouteRecord(Record):
    """What a routed run adds to the model's list, and its outcome.

    `decoys` are the tools of other servers, in wire form. `outcome` is None until the run has finished, and in
    a baseline of which some queries were updated.
    """

    decoys: list[_Tool] = Field(default_factory=list)
    outcome: RoutingOutcome | None = None


class CoverageOutcome(Record):
    """The outcome of coverage gates.

    `covered` is how many of the server's `tools` are covered, waived ones aside. `failures` has a sentence for each
    gate that is not met, and `notes` one for each waiver that is not needed.
    """

    covered: int
    tools: int
    failures: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


class CoverageRecord(Record):
    """What the coverage of a run must reach, as the user gave it, and the outcome.

    `outcome` is None until the run has finished; it stays None in a shard, whose gates `mcprun merge` evaluates.
    """

    min_coverage: float | None = None
    require: list[str] = Field(default_factory=list)
    waive: list[str] = Field(default_factory=list)
    outcome: CoverageOutcome | None = None


class RunRecord(Record):
    """`run.json`: the inputs of a run, its model and server, and its outcome once `state` is no longer `started`.

    `schema` is the version of the format, and `needs_mcprun` the first version of mcprun that reads it. `versions`
    holds the version that wrote the run; that of a baseline is empty.
    `started` and `finished` are ISO 8601 in UTC. `seconds` is the wall time spent running. For a resumed run it
    excludes the pauses, and the time before a kill. `folder` is the working directory at the start, to which paths in
    `arguments` are relative. `configured` names the arguments that were not on the command line, and where they come
    from: the `file` of the project, or the `environment`. A `slim` baseline has no messages and can't be replayed.
    `again` lists the queries (id and repeat) whose errors were caused by the end of the run: `--resume` runs them
    again.
    """

    fixed = frozenset({"needs_mcprun", "state", "started", "finished", "limits", "versions", "configured"})
    shaped: ClassVar[Mapping[str, Shape]] = {"arguments": "arguments"}
    schema_: Schema = Field(default=SCHEMA, alias="schema")
    needs_mcprun: str = SCHEMA_SINCE
    state: Literal["started", "finished", "interrupted"]
    started: str
    finished: str | None = None
    seconds: float | None = None
    arguments: JsonObject
    configured: dict[str, str] = Field(default={}, exclude_if=lambda value: not value)
    folder: str | None = None
    slim: bool = False
    prompts: PromptsRecord
    model: ModelRecord
    judge: ModelRecord | None = None
    limits: JsonObject
    versions: dict[str, str]
    server: ServerRecord | None = None
    counts: Counts | None = None
    repeats: list[RepeatsRecord] = Field(default_factory=list)
    error: ErrorInfo | None = None
    baseline: BaselineRecord | None = None
    coverage: CoverageRecord | None = None
    route: RouteRecord | None = Field(default=None, exclude_if=lambda value: value is None)
    again: list[tuple[str, int]] = Field(default=[], exclude_if=lambda value: not value)

    def __repr__(self) -> str:
        """Return the outcome: `<RunRecord: finished, 3 passed, 1 failed>`."""
        return f"<RunRecord: {self.outcome}>"

    __str__ = __repr__

    @property
    def outcome(self) -> str:
        """The state, the numbers of queries by verdict and of regressions, and low coverage: `finished, 3 passed`."""
        counts = self.counts or Counts()
        verdicts = {"passed": counts.passed, "failed": counts.failed, "error": counts.error}
        verdicts |= {"skipped": counts.not_run, "not graded": counts.ungraded}
        parts = [f"{count:,} {name}" for name, count in verdicts.items() if count]
        parts += [f"{self.regressions:,} regressed"] if self.regressions else []
        if self.coverage and self.coverage.outcome and self.coverage_failures:
            parts.append(f"coverage {self.coverage.outcome.covered:,} of {plural(self.coverage.outcome.tools, 'tool')}")
        return ", ".join([self.state, *parts])

    @property
    def failures(self) -> int:
        """The number of failed repeats, except those of queries that reach their required pass rate."""
        failed = self.counts.failed if self.counts else 0
        return failed - sum(one.failed for one in self.repeats if one.is_met)

    @property
    def regressions(self) -> int:
        """The number of regressions against the baseline, breaking changes of tools included; 0 without a baseline."""
        return self.baseline.regressions if self.baseline else 0

    @property
    def lacks_comparison(self) -> bool:
        """Whether the run was to be compared with a baseline and was not."""
        return self.baseline is not None and self.baseline.compared is None

    @property
    def coverage_failures(self) -> list[str]:
        """A sentence for each coverage gate that is not met."""
        return self.coverage.outcome.failures if self.coverage and self.coverage.outcome else []

    @property
    def lacks_coverage(self) -> bool:
        """Whether the coverage of the run was to be evaluated and was not. `mcprun merge` evaluates that of shards."""
        return self.coverage is not None and self.coverage.outcome is None and self.prompts.shard is None

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the run. An interrupt outweighs a failure, which outweighs errors and skipped queries.

        A regression is a failure, and so is a coverage gate that is not met. A run that was to be compared with a
        baseline, or whose coverage was to be evaluated, and was not, is an error.
        """
        counts = self.counts or Counts()
        if self.state == "started" or (self.error and self.error.kind is ErrorKind.CANCELLED):
            return ExitCode.INTERRUPTED
        if self.failures or any(one.required and not one.is_met for one in self.repeats) or self.regressions:
            return ExitCode.FAILED
        if self.coverage_failures:
            return ExitCode.FAILED
        is_complete = (
            self.state == "finished"
            and not self.error
            and not counts.error
            and not counts.not_run
            and not self.lacks_comparison
            and not self.lacks_coverage
        )
        return ExitCode.PASSED if is_complete else ExitCode.ERROR
