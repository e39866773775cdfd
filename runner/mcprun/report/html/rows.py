"""The rows of a page's table, one per transcript. They are short, because a page may hold ten thousand of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from mcprun._util.json_value import JsonObject
from mcprun.report.causes import CauseKind, skip_reason
from mcprun.report.conversation import prompt_start
from mcprun.report.data import RunData
from mcprun.report.html.heatmap import MAX_TOOLS
from mcprun.report.html.names import bounded_name
from mcprun.report.text import one_line
from mcprun.report.timings import QueryTimes
from mcprun.runs.run_record import RepeatsRecord
from mcprun.runs.transcript import Transcript, Verdict

COLUMNS = (
    "id", "repeat", "verdict", "prompt", "cause", "turns", "calls", "errors", "diverged", "tokens", "seconds", "tools",
    "aspect", "regressed", "red", "causes", "tags", "metadata", "checks", "kept",
)  # fmt: skip
"""The cells of a row, in order. `calls` of a routed query are those that it asks for. `tools` holds indices into the
table's `tools`; `aspect` is how the query differs from the baseline, empty if it does not; `regressed` is 1 if it
regressed, and `red` if it makes the run red; `causes` holds indices of the causes that it is an example of; `tags`,
`metadata` and `checks` hold indices into the table's lists of tags, of pairs such as `owner: billing`, and of kinds of
expectations; `kept` is 1 if it has the conversation."""

_MAX_CHARS = 160
"""Maximum number of characters of a prompt or a cause in the table."""

_NAMES = 200
"""Maximum number of tags, and of entries of the metadata, that the table can be filtered by."""

_OF_ROW = 20
"""Maximum number of them that one query has in the table."""

_RANKS = {Verdict.FAILED: 0, Verdict.ERROR: 0, Verdict.PASSED: 1, Verdict.SKIPPED: 2}
"""Order in which conversations are kept if there is no room for all."""


class Rows:
    """Collects transcripts as rows. `slowest` is the row number and the times of the query that took longest."""

    def __init__(self, facts: RunData) -> None:
        self._facts = facts
        self.slowest: tuple[int, QueryTimes] | None = None
        self._rows: list[list[object]] = []
        self._sizes: list[tuple[int, int]] = []
        self._tools: dict[str, int] = {}
        self._cause_finder = _CauseFinder(facts)
        self._lists = {name: _Names() for name in ("tags", "metadata", "checks")}
        self.by_cause: Counter[int] = Counter()
        """The number of rows that each cause has, by its index."""

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, transcript: Transcript, times: QueryTimes | None, size: int) -> None:
        """Add a transcript whose conversation takes `size` bytes of the page. `times` is `None` if unknown."""
        if times and times.seconds is not None and times.seconds > (_slowest_seconds(self.slowest) or -1.0):
            self.slowest = (len(self), times)
        self._sizes.append((0 if self._facts.is_red(transcript) else _RANKS[transcript.verdict], size))
        self._rows.append(list(self._cells(transcript, times)))

    def fitting(self, max_bytes: int) -> frozenset[int]:
        """Return the row numbers of the conversations that fit: those that did not pass first, then in file order."""
        numbers, left = [], max_bytes
        for number, (_, size) in sorted(enumerate(self._sizes), key=lambda one: (one[1][0], one[0])):
            if size <= left:
                numbers.append(number)
                left -= size
        return frozenset(numbers)

    def data(self, repeats: Iterable[RepeatsRecord], fitting: frozenset[int]) -> JsonObject:
        """Return the data of the table: `columns`, `rows`, `tools`, `tags`, `metadata`, `checks`, and `repeats` by id.

        Each value of `repeats` is a list: runs that passed, all runs, and whether the query is flaky.
        """
        return {
            "columns": COLUMNS,
            "rows": [[*row, int(number in fitting)] for number, row in enumerate(self._rows)],
            "tools": [bounded_name(tool) for tool in self._tools],
            **{name: list(names) for name, names in self._lists.items()},
            "repeats": {bounded_name(one.id): [one.passed, one.runs, one.flaky] for one in repeats},
        }

    def _cells(self, transcript: Transcript, times: QueryTimes | None) -> Iterator[object]:
        calls = transcript.calls if transcript.routed is None else transcript.routed
        tools = list(dict.fromkeys(call.tool for call in calls))[:MAX_TOOLS]
        yield bounded_name(transcript.id)
        yield transcript.repeat
        yield str(transcript.verdict)
        yield one_line(prompt_start(transcript.prompt), _MAX_CHARS)
        regression = self._facts.regression(transcript)
        cause = skip_reason(transcript) if transcript.verdict is Verdict.SKIPPED else transcript.cause
        yield one_line(cause or (regression.cause if regression else ""), _MAX_CHARS)
        yield len(transcript.turns)
        yield len(calls)
        yield sum(call.is_error for call in transcript.calls)
        yield transcript.diverged
        yield transcript.usage.total if transcript.usage else None
        yield round(times.seconds, 6) if times and times.seconds is not None else None
        yield [self._tools.setdefault(tool, len(self._tools)) for tool in tools]
        change = self._facts.change(transcript)
        yield change.aspect if change else ""
        yield int(regression is not None)
        yield int(self._facts.is_red(transcript))
        causes = list(self._cause_finder.find(transcript))
        self.by_cause.update(causes)
        yield causes
        yield self._lists["tags"].indices(transcript.tags)
        yield self._lists["metadata"].indices(_pairs(transcript.metadata))
        yield self._lists["checks"].indices(check.check for check in transcript.checks)


class _Names:
    """Names that rows can be filtered by, at most `_NAMES` of them. A row holds their indices."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def indices(self, names: Iterable[str]) -> list[int]:
        """Return the indices of names; those for which there is no room are left out."""
        found = []
        for name in dict.fromkeys(islice(names, _OF_ROW)):
            text = one_line(name, _MAX_CHARS)
            if text in self._index or len(self._index) < _NAMES:
                found.append(self._index.setdefault(text, len(self._index)))
        return found


def _pairs(metadata: JsonObject) -> Iterator[str]:
    """Yield the entries that a query can be filtered by: texts, numbers and truth values."""
    for key, value in metadata.items():
        if isinstance(value, str | int | float):
            yield f"{key}: {value if isinstance(value, str) else json.dumps(value)}"


def _slowest_seconds(slowest: tuple[int, QueryTimes] | None) -> float | None:
    return slowest[1].seconds if slowest else None


class _CauseFinder:
    """Finds the causes that a query is an example of: its own, and those of the whole run that concern it."""

    def __init__(self, facts: RunData) -> None:
        self._facts = facts
        self._by_tool: dict[str, list[int]] = {}
        self._of_skipped: list[int] = []
        for number, cause in enumerate(facts.why):
            if cause.kind is CauseKind.BREAKING:
                for tool in cause.tools:
                    self._by_tool.setdefault(tool, []).append(number)
            elif cause.kind in (CauseKind.STOPPED, CauseKind.SERVER):
                self._of_skipped.append(number)

    def find(self, transcript: Transcript) -> Iterator[int]:
        """Yield the indices of the causes of a query."""
        if transcript.verdict is Verdict.SKIPPED:
            yield from self._of_skipped
        if not self._facts.is_red(transcript):
            return
        found = self._facts.cause_index(transcript)
        if found is not None:
            yield found
        yield from {
            number for call in transcript.calls for number in self._by_tool.get(call.tool, ()) if number != found
        }
