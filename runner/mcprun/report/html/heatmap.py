"""The tools of a run as a heat map: what came of their calls, how long they took, how large results were. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from mcprun._util.json_io import dumps
from mcprun.report.html.names import bounded_name
from mcprun.report.text import duration, visible
from mcprun.report.timings import ToolTimes, quantile
from mcprun.runs.transcript import Call, Transcript
from mcprun.tools.media import size_text

OUTCOMES = ("ok", "error", "timeout", "diverged")
"""What a call can come to. A diverged call is also one of the others; a call that timed out is no error."""

MAX_TOOLS = 50
"""Maximum number of tools of one query that the table can be filtered by, in the order of their first call."""

_ROWS = 30
"""Maximum number of tools that are listed."""

_TIMEOUT = "timeout"
"""The `problem` of a call that timed out."""

_SHADES = 5
_UNRESERVED = "!'()*,"
"""Characters that the page's script leaves as they are in an address, and `quote` does not."""


@dataclass(slots=True)
class _Tool:
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    sizes: array[int] = field(default_factory=lambda: array("Q"))


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the heat map: its text, what it means, its shade from 0 to 5, and the filter that it links to."""

    kind: str
    text: str
    title: str
    shade: int = 0
    link: str = ""


@dataclass(frozen=True, slots=True)
class ToolLine:
    """A line of the heat map: a tool, a link that filters by it, and its cells in the order of the columns."""

    name: str
    link: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The heat map: its columns, its lines, those that need a look first, and how many more there are."""

    columns: tuple[str, ...]
    lines: tuple[ToolLine, ...]
    more: int


class ToolOutcomes:
    """Collects the outcomes of calls by tool. `by_row` holds those of rows with other outcomes than `ok`, by number.

    For each of a row's tools, in the order of their first call, its value is a sum of 1, 2, 4 and 8 for `OUTCOMES`.
    """

    def __init__(self) -> None:
        self.by_row: dict[str, list[int]] = {}
        self._tools: dict[str, _Tool] = {}
        self._rows = 0

    def add(self, transcript: Transcript) -> None:
        """Add the calls of the next row."""
        sizes = [_size(call) for call in transcript.calls]  # first, because it fails for values nested too deep
        masks: dict[str, int] = {}
        for call, size in zip(transcript.calls, sizes, strict=True):
            tool = self._tools.setdefault(call.tool, _Tool())
            tool.sizes.append(size)
            for outcome in _outcomes(call):
                tool.counts[outcome] += 1
                masks[call.tool] = masks.get(call.tool, 0) | 1 << OUTCOMES.index(outcome)
        shown = list(masks.values())[:MAX_TOOLS]
        if any(mask != 1 for mask in shown):
            self.by_row[str(self._rows)] = shown
        self._rows += 1

    def heat_map(self, times: Mapping[str, ToolTimes]) -> HeatMap:
        """Return the heat map. `times` are those of the trace by tool, empty without a trace."""
        lines = [_Line.of(name, tool, times.get(name)) for name, tool in self._tools.items()]
        lines.sort(key=lambda one: (-one.trouble, -one.p95, -one.calls, one.name))
        outcomes = [name for name in OUTCOMES if name in ("ok", "error") or any(one.counts[name] for one in lines)]
        timed = ["p50", "p95"] if any(one.seconds for one in lines) else []
        measured = {name: _Scale(one.measure(name) for one in lines) for name in (*timed, "size")}
        return HeatMap(
            columns=("calls", *outcomes, *measured),
            lines=tuple(_tool_line(one, outcomes, measured) for one in lines[:_ROWS]),
            more=max(0, len(lines) - _ROWS),
        )


@dataclass(frozen=True, slots=True)
class _Line:
    """The numbers of a tool: `seconds` and `sizes` are sorted; `seconds` is empty if the calls were not timed."""

    name: str
    counts: Mapping[str, int]
    seconds: Sequence[float]
    sizes: Sequence[int]

    @classmethod
    def of(cls, name: str, tool: _Tool, times: ToolTimes | None) -> _Line:
        return cls(name, tool.counts, sorted(times.seconds) if times else (), sorted(tool.sizes))

    @property
    def calls(self) -> int:
        return len(self.sizes)

    @property
    def trouble(self) -> int:
        return self.counts["error"] + self.counts["timeout"] + self.counts["diverged"]

    @property
    def p95(self) -> float:
        return self.measure("p95") or 0.0

    def measure(self, name: str) -> float | None:
        """Return the number of the column `p50`, `p95` (seconds) or `size` (bytes, the median); None if unknown."""
        values = self.sizes if name == "size" else self.seconds
        return quantile(values, 0.95 if name == "p95" else 0.5) if values else None


class _Scale:
    """Shades of a column's numbers, on a logarithmic scale from the smallest to the largest."""

    def __init__(self, values: Iterable[float | None]) -> None:
        known = [max(value, 1e-6) for value in values if value is not None]
        self._low, self._high = (math.log(min(known)), math.log(max(known))) if known else (0.0, 0.0)

    def shade(self, value: float) -> int:
        if self._high - self._low < 0.1:  # all but equal
            return 1
        return 1 + round((_SHADES - 1) * (math.log(max(value, 1e-6)) - self._low) / (self._high - self._low))


def _tool_line(one: _Line, outcomes: Sequence[str], measured: Mapping[str, _Scale]) -> ToolLine:
    name = visible(bounded_name(one.name))
    link = f"#tool={quote(name, safe=_UNRESERVED)}"
    cells = [
        Cell("calls", f"{one.calls:,}", "calls"),
        *(_count(one, outcome, link) for outcome in outcomes),
        *_measures(one, measured),
    ]
    return ToolLine(name, link, tuple(cells))


def _count(one: _Line, outcome: str, link: str) -> Cell:
    count = one.counts[outcome]
    shade = math.ceil(_SHADES * count / one.calls)
    return Cell(outcome, f"{count:,}", outcome, shade, f"{link}&outcome={outcome}" if count else "")


def _measures(one: _Line, measured: Mapping[str, _Scale]) -> Iterator[Cell]:
    for name, scale in measured.items():
        value = one.measure(name)
        if value is None:
            yield Cell(name, "", "not timed")
        elif name == "size":
            yield Cell(
                name,
                size_text(int(value)).replace("bytes", "B"),
                f"median; largest {size_text(one.sizes[-1])}",
                scale.shade(value),
            )
        else:
            yield Cell(name, duration(value), f"longest {duration(one.seconds[-1])}", scale.shade(value))


def _outcomes(call: Call) -> Iterator[str]:
    yield "timeout" if call.problem == _TIMEOUT else "error" if call.is_error else "ok"
    if call.diverged:
        yield "diverged"


def _size(call: Call) -> int:
    """Return the bytes of a result as JSON, its structured content included."""
    size = len(dumps(call.content).encode(errors="backslashreplace"))
    return size if call.structured is None else size + len(dumps(call.structured).encode(errors="backslashreplace"))
