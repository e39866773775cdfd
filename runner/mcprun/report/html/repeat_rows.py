"""The repeated queries of a run's page: a link for each run, and the interval of the pass rate as a chart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from mcprun.report.html.names import bounded_name
from mcprun.report.repeats import MARKS, Repeats, percent

_UNRESERVED = "!'()*"
"""Characters that `encodeURIComponent` of the page's script leaves as they are, and `quote` does not."""

_SCALE = 1000
"""The width of the chart for 100 %."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One run: its mark, its verdict, its number, and the link to its conversation."""

    mark: str
    verdict: str
    number: int
    link: str


@dataclass(frozen=True, slots=True)
class RepeatRow:
    """A repeated query. Positions are on a scale of 1000; `needed` is that of the required rate, None if there is none.

    `chances` are pass@k and pass^k for the most tries that are known.
    """

    name: str
    dots: tuple[Dot, ...]
    more: int
    passed: str
    rate: str
    interval: str
    required: str
    low: float
    at: float
    high: float
    needed: float | None
    is_below: bool
    is_flaky: bool
    errors: int
    chances: str


def repeat_rows(all_repeats: Iterable[Repeats]) -> Iterator[RepeatRow]:
    """Yield the rows of repeated queries."""
    for one in all_repeats:
        record = one.record
        name = bounded_name(record.id)
        k = len(record.pass_at)
        yield RepeatRow(
            name=name,
            dots=tuple(Dot(MARKS[verdict], str(verdict), number, _link(name, number)) for number, verdict in one.dots),
            more=one.more,
            passed=f"{record.passed:,}/{record.runs:,}",
            rate=percent(record.pass_rate),
            interval=one.interval,
            required=one.required,
            low=_SCALE * record.low,
            at=_SCALE * record.pass_rate,
            high=_SCALE * record.high,
            needed=None if record.required is None else _SCALE * record.required,
            is_below=record.is_below,
            is_flaky=record.flaky,
            errors=record.error,
            chances=f"pass@{k} {record.pass_at[-1]:.2f}, pass^{k} {record.pass_hat[-1]:.2f}" if k else "",
        )


def _link(name: str, number: int) -> str:
    full = f"{name} ({number})" if number > 1 else name
    return f"#q={quote(full, safe=_UNRESERVED)}"
