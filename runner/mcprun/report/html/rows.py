"""The rows of a page's table, one per transcript. They are short, because a page may hold ten thousand of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from mcprun._util.json_value import JsonObject
from mcprun.report.conversation import prompt_start
from mcprun.report.data import RunData
from mcprun.report.text import one_line
from mcprun.report.timings import QueryTimes
from mcprun.runs.run_record import RepeatsRecord
from mcprun.runs.transcript import Transcript, Verdict

COLUMNS = (
    "id", "repeat", "verdict", "prompt", "cause", "turns", "calls", "errors", "diverged", "tokens", "seconds", "tools",
    "regressed", "red", "kept",
)  # fmt: skip
"""The cells of a row, in order. `tools` holds indices into the table's `tools`; `regressed` is 1 if the query regressed
against the baseline; `red` is 1 if it makes the run red; `kept` is 1 if the page holds the conversation."""

_MAX_CHARS = 160
"""Maximum number of characters of a prompt or a cause in the table."""

_NAME = 300
"""Maximum number of characters of an id or a tool's name in the table."""

_TOOLS = 50
"""Maximum number of tools of one query that the table can be filtered by."""

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
        self._calls: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, transcript: Transcript, times: QueryTimes | None, size: int) -> None:
        """Add a transcript whose conversation takes `size` bytes of the page. `times` is `None` if unknown."""
        for call in transcript.calls:
            self._calls[call.tool] += 1
            self._errors[call.tool] += call.is_error
        if times and times.seconds is not None and times.seconds > (_slowest_seconds(self.slowest) or -1.0):
            self.slowest = (len(self), times)
        self._sizes.append((0 if self._facts.is_red(transcript) else _RANKS[transcript.verdict], size))
        self._rows.append(list(self._cells(transcript, times)))

    @property
    def called(self) -> dict[str, tuple[int, int]]:
        """Calls and errors by tool."""
        return {tool: (calls, self._errors[tool]) for tool, calls in self._calls.items()}

    def fitting(self, max_bytes: int) -> frozenset[int]:
        """Return the row numbers of the conversations that fit: those that did not pass first, then in file order."""
        numbers, left = [], max_bytes
        for number, (_, size) in sorted(enumerate(self._sizes), key=lambda one: (one[1][0], one[0])):
            if size <= left:
                numbers.append(number)
                left -= size
        return frozenset(numbers)

    def data(self, repeats: Iterable[RepeatsRecord], fitting: frozenset[int]) -> JsonObject:
        """Return the data of the table: `columns`, `rows`, `tools`, and `repeats` by id.

        Each value of `repeats` is a list: runs that passed, all runs, and whether the query is flaky.
        """
        return {
            "columns": COLUMNS,
            "rows": [[*row, int(number in fitting)] for number, row in enumerate(self._rows)],
            "tools": [_name(tool) for tool in self._tools],
            "repeats": {_name(one.id): [one.passed, one.runs, one.flaky] for one in repeats},
        }

    def _cells(self, transcript: Transcript, times: QueryTimes | None) -> Iterator[object]:
        tools = list(dict.fromkeys(call.tool for call in transcript.calls))[:_TOOLS]
        yield _name(transcript.id)
        yield transcript.repeat
        yield str(transcript.verdict)
        yield one_line(prompt_start(transcript.prompt), _MAX_CHARS)
        regression = self._facts.regression(transcript)
        yield one_line(transcript.cause or (regression.cause if regression else ""), _MAX_CHARS)
        yield len(transcript.turns)
        yield len(transcript.calls)
        yield sum(call.is_error for call in transcript.calls)
        yield transcript.diverged
        yield transcript.usage.total if transcript.usage else None
        yield round(times.seconds, 6) if times and times.seconds is not None else None
        yield [self._tools.setdefault(tool, len(self._tools)) for tool in tools]
        yield int(regression is not None)
        yield int(self._facts.is_red(transcript))


def _slowest_seconds(slowest: tuple[int, QueryTimes] | None) -> float | None:
    return slowest[1].seconds if slowest else None


def _name(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[:_NAME]}…"
