"""Compare two runs by the lines of their `transcripts.jsonl`. Pure.

Queries are paired by id and repeat. Those that were run several times are compared as samples
(`analysis/diff/repeats.py`). By default, the verdict, the stop reason, and the calls with their results are compared;
tokens, ids, times and the model's text are not (`analysis/diff/transcripts.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, Literal

from mcprun._util.json_text import TooDeepError
from mcprun._util.json_value import JsonObject
from mcprun._util.short_repr import short_repr
from mcprun._util.statistics import ALPHA
from mcprun.analysis.diff.repeats import UNJUDGED, Rate, Sample, Variant, is_sure, new_variants, p_value
from mcprun.analysis.diff.transcripts import Change, CompareOptions, read_json
from mcprun.errors import UsageError, describe
from mcprun.tools.changes import ToolChange, compare_tools

_READ: Mapping[str, type | tuple[type, ...]] = {
    "id": str, "repeat": int, "verdict": str, "stop": str, "calls": list, "text": str, "turns": list,
    "usage": (dict, type(None)), "error": (dict, type(None)),
}  # fmt: skip
"""The keys of a transcript that are read here, and their types."""

MAX_MOVED = 1_000
"""Maximum number of queries that are listed because their pass rate moved within chance."""

Key = tuple[str, int]
Sides = tuple[int, ...]
"""The number of repeats of a query in BASE and in HEAD."""


@dataclass(frozen=True, slots=True)
class QueryDiff:
    """A query that was added, removed or changed.

    A query that was run several times has no `repeat` and no `verdicts`, but the `rates` of both sides, the p-value of
    their difference (`p`), and the new `variants`. `is_regression` is set if the query was removed, or changed without
    an improvement of its verdict or pass rate. A query that ended in an error or was skipped in HEAD is not a
    regression. `examples` are the repeats of BASE and HEAD that best show the difference.
    """

    id: str
    repeat: int | None
    how: Literal["added", "removed", "changed"]
    verdicts: tuple[str | None, str | None] = (None, None)
    changes: tuple[Change, ...] = ()
    rates: tuple[Rate | None, Rate | None] = (None, None)
    p: float | None = None
    variants: tuple[Variant, ...] = ()
    is_regression: bool = False
    examples: tuple[int | None, int | None] = (None, None)

    def __repr__(self) -> str:
        """Return the id, and what differs: `<QueryDiff 'add': changed, 2 changes, a regression>`."""
        count = len(self.changes) + sum(len(variant.changes) for variant in self.variants)
        parts = [self.how, f"{count:,} change{'' if count == 1 else 's'}"]
        parts += ["a regression"] if self.is_regression else []
        return f"<QueryDiff {short_repr(self.id)}: {', '.join(parts)}>"


@dataclass(frozen=True, slots=True)
class MovedRate:
    """A repeated query whose pass rate differs, but not significantly: both rates, and the p-value."""

    id: str
    rates: tuple[Rate, Rate]
    p: float


@dataclass(slots=True)
class DiffSummary:
    """The number of compared queries by outcome.

    `regressions` were removed, or changed without improving. Queries that ended in an error or were skipped in HEAD are
    not included. Among the `same`, `chance` counts those whose pass rate differs, but not significantly, and `fewer`
    those that HEAD ran less often than BASE. `breaking` counts the breaking changes of tools, which are regressions
    too.
    """

    same: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    regressions: int = 0
    chance: int = 0
    fewer: int = 0
    breaking: int = 0

    @property
    def differ(self) -> bool:
        """Whether anything was added, removed or changed, or a tool has a breaking change."""
        return bool(self.changed or self.added or self.removed or self.breaking)


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Compares the transcripts of two runs in the aspects that `options` selects, and adds the outcome to `summary`.

    `among` are the ids of the queries that HEAD was asked to run: other queries that only BASE has are skipped. None
    means all. `repeated` maps each query that one of the runs holds more than once to its number of repeats on both
    sides. Those are compared as samples, and a change of their pass rate counts if its p-value is below `alpha`.
    `files` are the files of BASE and HEAD, for messages. `moved` receives the first queries whose pass rate moved
    within chance. `observe` is called with each transcript of HEAD that is compared, except for those whose line is
    that of BASE.
    """

    options: CompareOptions = field(default_factory=CompareOptions)
    among: Container[str] | None = None
    repeated: Mapping[str, Sides] = field(default_factory=dict)
    alpha: float = ALPHA
    summary: DiffSummary = field(default_factory=DiffSummary)
    observe: Callable[[JsonObject], None] = lambda _: None
    files: tuple[str, str] = ("", "")
    moved: list[MovedRate] = field(default_factory=list)

    def compare(self, base: Iterable[bytes], head: Iterable[bytes]) -> Iterator[QueryDiff]:
        """Yield the queries that differ: changed ones in the order of the lines, then removed ones, then added ones.

        Only unpaired transcripts are held in memory: none if both runs have the same order. Raises `UsageError` for a
        line that is not a transcript, for a duplicate transcript, and if neither side holds any.
        """
        waiting: tuple[dict[Key, JsonObject], dict[Key, JsonObject]] = ({}, {})
        samples: dict[str, tuple[Sample, Sample]] = {}
        is_begun = False
        for number, lines in enumerate(zip_longest(base, head), 1):
            if lines[0] == lines[1] and is_begun and not self.repeated:
                self.summary.same += 1
                continue
            is_begun = True
            for side, line in enumerate(lines):
                if line is None:
                    continue
                transcript = _read(line, ("BASE", "HEAD")[side], f"{self.files[side]}:{number}".lstrip(":"))
                name, repeat = transcript["id"], transcript["repeat"]
                if name in self.repeated:
                    pair = samples.setdefault(name, (Sample(self.options), Sample(self.options)))
                    pair[side].add(transcript)
                    if side:
                        self.observe(transcript)
                    if (pair[0].runs, pair[1].runs) == self.repeated[name]:
                        yield from self._compared_samples(name, *samples.pop(name))
                elif other := waiting[1 - side].pop((name, repeat), None):
                    yield from self._compared_pair(*((other, transcript) if side else (transcript, other)))
                elif (name, repeat) in waiting[side]:
                    second = f"the second is line {number}" + (f" of {self.files[side]}" if self.files[side] else "")
                    what = f"two transcripts of {name!r}, repeat {repeat}; {second}"
                    raise UsageError(f"{('BASE', 'HEAD')[side]} has {what}")
                else:
                    waiting[side][name, repeat] = transcript
        if not is_begun:
            raise UsageError("nothing to compare: neither BASE nor HEAD has a transcript")
        for name, pair in samples.items():
            yield from self._compared_samples(name, *pair)
        for (name, repeat), transcript in waiting[0].items():
            yield from self._removed(
                QueryDiff(name, repeat, "removed", (transcript["verdict"], None), examples=(repeat, None))
            )
        for (name, repeat), transcript in waiting[1].items():
            yield from self._added(
                QueryDiff(name, repeat, "added", (None, transcript["verdict"]), examples=(None, repeat))
            )

    def tools(self, base: Sequence[JsonObject] | None, head: Sequence[JsonObject] | None) -> list[ToolChange]:
        """Return the changes of the servers' tools; empty if either is unknown or `tools` is not compared."""
        if base is None or head is None or "tools" not in self.options.aspects:
            return []
        changes = compare_tools(base, head)
        breaking = sum(change.breaking for change in changes)
        self.summary.breaking += breaking
        self.summary.regressions += breaking
        return changes

    def _compared_pair(self, base: JsonObject, head: JsonObject) -> Iterator[QueryDiff]:
        name, repeat, verdicts = base["id"], base["repeat"], (base["verdict"], head["verdict"])
        self.observe(head)
        try:
            yield from list(self._pair(base, head))
        except Exception as error:  # noqa: BLE001  one query must not end the comparison
            yield self._changed(
                QueryDiff(
                    name, repeat, "changed", verdicts, _fault(error), is_regression=True, examples=(repeat, repeat)
                )
            )

    def _compared_samples(self, name: str, base: Sample, head: Sample) -> Iterator[QueryDiff]:
        try:
            if error := base.fault or head.fault:
                raise error
            yield from list(self._samples(name, base, head))
        except Exception as error:  # noqa: BLE001  as above
            rates = base.rate, head.rate
            examples = base.example(), head.example()
            yield self._changed(
                QueryDiff(
                    name, None, "changed", changes=_fault(error), rates=rates, is_regression=True, examples=examples
                )
            )

    def _pair(self, base: JsonObject, head: JsonObject) -> Iterator[QueryDiff]:
        verdicts = base["verdict"], head["verdict"]
        changes = tuple(self.options.changes(base, head))
        if changes:
            yield self._changed(
                QueryDiff(
                    base["id"],
                    base["repeat"],
                    "changed",
                    verdicts,
                    changes,
                    is_regression=verdicts[1] not in UNJUDGED and not verdicts[1] == "passed" != verdicts[0],
                    examples=(base["repeat"], base["repeat"]),
                )
            )
        else:
            self.summary.same += 1

    def _samples(self, name: str, base: Sample, head: Sample) -> Iterator[QueryDiff]:
        if not base.runs:
            yield from self._added(
                QueryDiff(name, None, "added", rates=(None, head.rate), examples=(None, head.example()))
            )
            return
        if not head.runs:
            yield from self._removed(
                QueryDiff(name, None, "removed", rates=(base.rate, None), examples=(base.example(), None))
            )
            return
        counts = "verdict" in self.options.aspects
        p = p_value(base.rate, head.rate)
        gain = head.passed / head.runs - base.passed / base.runs if counts else 0.0
        is_significant = counts and is_sure(base.rate, head.rate, self.alpha)
        is_judged_significant = counts and is_sure(base.rate.of_judged, head.rate.of_judged, self.alpha)
        variants = tuple(new_variants(base, head))
        usage = "usage" in self.options.aspects and base.means != head.means
        changes = (Change("usage", base.means, head.means),) if usage else ()
        if is_significant or variants or changes:
            examples = base.example(passed=gain < 0), head.example(passed=gain > 0)
            diff = QueryDiff(
                name,
                None,
                "changed",
                changes=changes,
                rates=(base.rate, head.rate),
                p=round(p, 6),
                variants=variants,
                is_regression=not (is_significant and gain > 0)
                and (is_judged_significant or bool(changes) or any(not variant.is_unjudged for variant in variants)),
                examples=(variants[0].against, variants[0].repeat) if variants else examples,
            )
            yield self._changed(diff)
        else:
            self.summary.same += 1
            if gain:
                self.summary.chance += 1
                if len(self.moved) < MAX_MOVED:
                    self.moved.append(MovedRate(name, (base.rate, head.rate), round(p, 6)))
            self.summary.fewer += head.runs < base.runs

    def _changed(self, diff: QueryDiff) -> QueryDiff:
        self.summary.changed += 1
        self.summary.regressions += diff.is_regression
        return diff

    def _removed(self, diff: QueryDiff) -> Iterator[QueryDiff]:
        if self.among is None or diff.id in self.among:
            self.summary.removed += 1
            self.summary.regressions += 1
            yield replace(diff, is_regression=True)

    def _added(self, diff: QueryDiff) -> Iterator[QueryDiff]:
        self.summary.added += 1
        yield diff


def _fault(error: Exception) -> tuple[Change]:
    return (Change("fault", after=f"this query could not be compared: {describe(error)}"),)


def check(lines: Iterable[bytes], name: str) -> None:
    """Check that lines are transcripts. Raises `UsageError`, starting with `name`, for the first that is not."""
    for number, line in enumerate(lines, 1):
        _read(line, name, str(number))


def _read(line: bytes, side: str, place: str) -> JsonObject:
    """Parse a line of a side. `place` is its number, after the name of the file if that is known."""
    message = f"{side} has a line that is not a transcript ({place if ':' in place else f'line {place}'})"
    try:
        transcript = read_json(line)
    except TooDeepError:
        raise UsageError(f"{message}: it is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"{message}: it is not JSON: {error}") from None
    if not isinstance(transcript, dict):
        raise UsageError(f"{message}: it is not an object")
    if missing := [key for key in _READ if key not in transcript]:
        raise UsageError(f"{message}: it has no {missing[0]!r}")
    if mistyped := next((key for key, kind in _READ.items() if not isinstance(transcript[key], kind)), None):
        raise UsageError(f"{message}: its {mistyped!r} has the wrong type")
    if not all(map(_is_call, transcript["calls"])):
        raise UsageError(f"{message}: one of its 'calls' is not a call")
    return transcript


def _is_call(call: Any) -> bool:
    return (
        isinstance(call, dict)
        and call.keys() >= {"tool", "input", "is_error", "content", "structured"}
        and isinstance(call["content"], list)
        and all(isinstance(block, dict) for block in call["content"])
    )
