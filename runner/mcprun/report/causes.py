"""Why a run is red: its red queries grouped by cause, and the causes that concern the whole run. Pure.

Messages are compared without ids, numbers and times, so that the same fault in many queries is one cause. While there
are more than `_FEW` causes, those are merged that differ only in quoted texts, then those that differ only in the tool,
then those that only begin alike, and then the rare ones of the same check and tool. Memory holds numbers for each red
query, and no transcript.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mcprun.errors import ErrorKind
from mcprun.report.cause_message import QUOTED, VARIES, Template, mentions, opening, shared_opening, without
from mcprun.report.log_excerpt import exception_line
from mcprun.report.routed_turn import ROUTE, confusion, routed_tools, ungraded_text, without_calls
from mcprun.report.steps import AFTER, failing_step, is_after_check, step_problem
from mcprun.report.text import one_line
from mcprun.runs.transcript import Call, Check, Key, StepCall, Transcript, Verdict
from mcprun.tools.results import result_text

QUERIES = 5
"""Maximum number of queries that a cause lists."""

TOOLS = 5
"""Maximum number of tools that a cause lists."""

_MESSAGE = 300
"""Maximum number of characters of a message."""

_REASON = 1000
"""Maximum number of characters of a reason of one query."""

_FEW = 5
"""Maximum number of causes that are not merged, however alike they are."""

_RARE = 0.1
"""Share of the red queries below which a cause may be merged with others that have nothing in common with it."""

_GROUPS = 2_000
"""Maximum number of different messages. Further ones share a cause with those of the same check and tool."""

_WORDS = 3
"""Number of words with which messages of one cause begin, if they end differently."""

_STDERR = "; its stderr ends: "
"""What precedes the end of a server's stderr in the message of an error."""


class CauseKind(StrEnum):
    """What a cause concerns: first those of the whole run, then those of queries."""

    SERVER = "server"
    STOPPED = "stopped"
    BREAKING = "breaking"
    COVERAGE = "coverage"
    SETUP = "setup"
    ERROR = "error"
    FAILED = "failed"
    REGRESSED = "regressed"
    REMOVED = "removed"


_OF_RUN = frozenset({CauseKind.SERVER, CauseKind.STOPPED, CauseKind.BREAKING, CauseKind.COVERAGE})


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason why a run is red.

    `message` is one line, in which ids, numbers and times that differ between queries are `…`. `count` is the number
    of queries, in which the repeats of a query count once: those that are red for this reason; for an end of the run,
    those that were not run; for a breaking change of a tool, red ones that call it. `tools` are the tools that it
    concerns, the most frequent first. `queries` are the first queries, in the order of the file. `regressed` is how
    many of them regressed from the baseline.
    """

    kind: CauseKind
    message: str
    count: int
    tools: tuple[str, ...] = ()
    queries: tuple[Key, ...] = ()
    regressed: int = 0

    @property
    def is_of_run(self) -> bool:
        """Whether the cause concerns the whole run."""
        return self.kind in _OF_RUN


@dataclass(frozen=True, slots=True)
class Causes:
    """All causes of a run, those of the whole run first, then the most frequent; `index` maps red queries to theirs."""

    causes: tuple[Cause, ...] = ()
    index: Mapping[Key, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Head:
    """What causes must share to become one: the kind, the kind of the error or the check, and the tool if known."""

    kind: CauseKind
    what: str
    tool: str = ""

    @property
    def message(self) -> str:
        """The message of a cause whose messages have nothing in common."""
        return f"{self.tool or self.what}: {VARIES}"


@dataclass(slots=True, eq=False)
class _Group:
    """Red queries with the same cause. If `is_exact`, no part of the message varies, and it is merged with no other."""

    head: _Head
    template: Template
    is_exact: bool = False
    ids: set[str] = field(default_factory=set)
    regressed: set[str] = field(default_factory=set)
    queries: list[Key] = field(default_factory=list)
    tools: Counter[str] = field(default_factory=Counter)
    merged_into: _Group | None = None

    def add(self, key: Key, tools: Iterable[str], *, is_regressed: bool) -> None:
        if key[0] not in self.ids:
            self.ids.add(key[0])
            self.tools.update(tools)
            if len(self.queries) < QUERIES:
                self.queries.append(key)
        if is_regressed:
            self.regressed.add(key[0])

    def absorb(self, other: _Group, template: Template) -> None:
        """Merge a group that began later into this one."""
        new = [key for key in other.queries if key[0] not in self.ids]
        self.queries = [*self.queries, *new][:QUERIES]
        self.ids |= other.ids
        self.regressed |= other.regressed
        self.tools.update(other.tools)
        self.template = template
        if other.head != self.head:
            self.head = replace(self.head, tool="")
        other.merged_into = self

    @property
    def final(self) -> _Group:
        """The group that this one was merged into at last."""
        return self.merged_into.final if self.merged_into else self

    @property
    def message(self) -> str:
        """What the messages of its queries have in common."""
        text = str(self.template)
        return self.head.message if text == VARIES else one_line(text, _MESSAGE)

    def cause(self) -> Cause:
        tools = tuple(tool for tool, _ in self.tools.most_common(TOOLS))
        return Cause(self.head.kind, self.message, len(self.ids), tools, tuple(self.queries), len(self.regressed))


class CauseGroups:
    """Groups red queries by cause, in the order in which they are added.

    `callers` are the red queries that call each of the `tools`.
    """

    def __init__(self, tools: Iterable[str] = ()) -> None:
        self.callers: dict[str, list[Key]] = {tool: [] for tool in tools}
        self._groups: dict[Hashable, _Group] = {}
        self._group_of: dict[Key, _Group] = {}

    def add(self, transcript: Transcript, regression: str = "") -> None:
        """Add a red query. `regression` is how it regressed from the baseline, empty if it did not."""
        confused = _confusion(transcript)
        head, text, tools = confused or _reason(transcript, regression)
        line = one_line(text, _MESSAGE)
        template = Template((line,), ()) if confused else Template.of(line)
        name: Hashable = (head, template.fixed)
        if name not in self._groups and len(self._groups) >= _GROUPS:
            name, template = head, Template((head.message,), ())
        group = self._groups.setdefault(name, _Group(head, template, is_exact=confused is not None))
        group.template = group.template.merged(template)
        key = (transcript.id, transcript.repeat)
        group.add(key, tools, is_regressed=bool(regression))
        self._group_of[key] = group
        for tool in {call.tool for call in transcript.calls} & self.callers.keys():
            self.callers[tool].append(key)

    def result(self, run_causes: Sequence[Cause] = (), removed: Sequence[Key] = ()) -> Causes:
        """Return all causes: those of the whole run as given, and then the groups, the most frequent first.

        `removed` are the queries that only the baseline has. They are one cause.
        """
        groups = list(self._groups.values())
        most = _RARE * sum(len(group.ids) for group in groups)
        for level in _LEVELS:
            if len(groups) > _FEW:
                groups = list(level.merged(groups, most))
        rows: list[tuple[int, _Group | None, Cause]] = [(len(one.ids), one, one.cause()) for one in groups]
        if removed:
            count = len({name for name, _ in removed})
            rows.append((count, None, Cause(CauseKind.REMOVED, REMOVED, count, queries=tuple(removed[:QUERIES]))))
        rows.sort(key=lambda row: -row[0])  # stable: then in the order of the file
        numbers = {id(group): number for number, (_, group, _) in enumerate(rows, len(run_causes))}
        index = {key: numbers[id(group.final)] for key, group in self._group_of.items()}
        return Causes((*run_causes, *(cause for _, _, cause in rows)), index)


REMOVED = "removed: the baseline has this query, and the run has not"
"""The cause of a query that only the baseline has."""


def _quoted(group: _Group) -> Template:
    return Template.of(str(group.template), QUOTED)


def _same_quotes(group: _Group) -> Hashable:
    return group.head, _quoted(group).fixed


def _without_quotes(one: _Group, other: _Group) -> Template:
    return _quoted(one).merged(_quoted(other))


def _same_text(group: _Group) -> Hashable:
    return replace(group.head, tool=""), _without_tool(group)


def _without_tool(group: _Group) -> str:
    """Return the message of a group without the name of its tool."""
    tool = group.head.tool
    return without(str(group.template).removeprefix(f"{tool}: "), tool)


def _any_tool(one: _Group, _: _Group) -> Template:
    return Template((_without_tool(one),), ())


def _same_opening(group: _Group) -> Hashable:
    """Return the first words after the tool's name: libraries begin all errors of a tool with the same words."""
    text, tool = str(group.template), group.head.tool
    return group.head, opening(text.rpartition(f"{tool}: ")[2] if tool else text, _WORDS)


def _same_head(group: _Group) -> Hashable:
    return group.head


def _opening(one: _Group, other: _Group) -> Template:
    shared = shared_opening(str(one.template), str(other.template))
    return Template((one.head.message if shared == VARIES else shared,), ())


@dataclass(frozen=True, slots=True)
class _Level:
    """Merges `least` or more groups with the same `key`, only rare ones if `only_rare`.

    `template` returns the message of two of them.
    """

    key: Callable[[_Group], Hashable]
    template: Callable[[_Group, _Group], Template]
    least: int
    only_rare: bool = False

    def merged(self, groups: Iterable[_Group], most: float) -> Iterator[_Group]:
        """Yield the groups, those that are alike merged into the first. Rare ones have less than `most` queries."""
        alike: dict[Hashable, list[_Group]] = {}
        for group in groups:
            is_frequent = self.only_rare and len(group.ids) >= most and group.message != group.head.message
            alike.setdefault(id(group) if is_frequent or group.is_exact else self.key(group), []).append(group)
        for first, *others in alike.values():
            if len(others) + 1 < self.least:
                yield from (first, *others)
                continue
            for other in others:
                first.absorb(other, self.template(first, other))
            yield first


_LEVELS = (
    _Level(_same_quotes, _without_quotes, 2),
    _Level(_same_text, _any_tool, 2),
    _Level(_same_opening, _opening, 4),
    _Level(_same_head, _opening, 4, only_rare=True),
)


def _confusion(transcript: Transcript) -> tuple[_Head, str, list[str]] | None:
    """Return that a routed query called other tools than it expects, if that is the reason why it is red."""
    text = "" if transcript.error else confusion(transcript)
    return (_Head(CauseKind.FAILED, ROUTE), text, routed_tools(transcript)) if text else None


def _reason(transcript: Transcript, regression: str) -> tuple[_Head, str, list[str]]:
    """Return the first reason why a query is red, and the tools whose calls it concerns."""
    tools = list(dict.fromkeys(call.tool for call in transcript.calls))
    if error := transcript.error:
        if error.kind is ErrorKind.SETUP:
            step = failing_step(transcript)
            head, text, tools = _step_reason(step, _Head(CauseKind.SETUP, str(error.kind)), error.message)
            return head, f"{error.kind}: {text}", tools
        text = f"{error.kind}: {_with_exception(error.message)}"
        return _Head(CauseKind.ERROR, str(error.kind)), text, _named(tools, error.message)
    check = next((check for check in transcript.checks if not check.passed), None)
    if check is None:
        kind = CauseKind.REGRESSED if regression else CauseKind.FAILED
        return _Head(kind, str(kind)), regression or str(transcript.verdict), _named(tools, regression)
    text = check.message or check.check
    if is_after_check(check.check):
        step = next((one for one in transcript.steps if one.name == check.check), None)
        return _step_reason(step, _Head(CauseKind.FAILED, AFTER), text)
    if transcript.routed is not None:
        return _Head(CauseKind.FAILED, check.check), without_calls(transcript, text), routed_tools(transcript)
    number = failed_call(transcript, check)
    if number is None:
        return _Head(CauseKind.FAILED, check.check), text, _named(tools, text)
    call = transcript.calls[number]
    head = _Head(CauseKind.FAILED, check.check, call.tool)
    return head, text if call.problem == "timeout" else f"{call.tool}: {_result(call)}", [call.tool]


def _step_reason(step: StepCall | None, head: _Head, message: str) -> tuple[_Head, str, list[str]]:
    """Return why a step fails a query, without the step's input, which differs between queries; None was not sent."""
    if step is None:
        return head, message, []
    target = step.tool or step.resource or ""
    return replace(head, tool=target), step_problem(step, message), [target]


def _with_exception(message: str) -> str:
    """Return the message of an error with the line of the exception in place of the stderr that it ends with."""
    text, _, stderr = message.partition(_STDERR)
    line = exception_line(stderr)
    return f"{text}: {line}" if line else message


def skip_reason(transcript: Transcript) -> str:
    """Return why a query was skipped, in one line: it could not be graded, or it was not started."""
    if transcript.is_ungraded:
        return ungraded_text(transcript)
    return one_line(transcript.cause, _REASON)


def reasons(transcript: Transcript) -> list[str]:
    """Return why a query did not pass, one shortened line per reason: its error, or each check that failed."""
    return [one_line(reason, _REASON) for reason in transcript.causes]


def failure_kind(transcript: Transcript) -> str:
    """Return the kind of a query's error, or the name of the first check that failed."""
    if transcript.error:
        return str(transcript.error.kind)
    return next((check.check for check in transcript.checks if not check.passed), str(Verdict.FAILED))


def failed_call(transcript: Transcript, check: Check) -> int | None:
    """Return the number of the first call that returned an error which fails a `tool_errors` check; else None."""
    if check.check != "tool_errors":
        return None
    errors = (number for number, call in enumerate(transcript.calls) if call.is_error)
    message = check.message or ""
    return next((one for one in errors if f"call {one}: " in message or f"call {one}, " in message), None)


def _result(call: Call) -> str:
    text = result_text(call.content)
    if text.strip():
        return text
    return "an error without a text" if call.structured is None else json.dumps(call.structured, ensure_ascii=False)


def _named(tools: list[str], text: str) -> list[str]:
    """Return the tools that a text names; all of them if it names none."""
    return [tool for tool in tools if mentions(text, tool)] or tools
