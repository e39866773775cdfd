"""Tokens and their cost as stacked bars: of the run, of its tools and of its most expensive queries."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from mcprun._util.json_value import JsonObject
from mcprun.analysis.token_shares import SHARES, TokenShares, rounded, sent_definitions, token_shares
from mcprun.errors import UsageError
from mcprun.report.html.names import bounded_name
from mcprun.report.text import visible
from mcprun.runs.run_record import RunRecord
from mcprun.runs.transcript import Transcript, Usage

_TOOLS = 15
"""Maximum number of tools that have a bar."""

_QUERIES = 10
"""Maximum number of queries that have a bar."""

_WIDTH = 1000
_UNRESERVED = "!'()*,"

_SAMPLE = 1_000
"""Tokens of the usage by which rates are looked up: few enough for the lowest price of a model."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a stacked bar: what the tokens were spent on, how many, and its place on a scale of 1000."""

    name: str
    tokens: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A stacked bar with its text alternative. `link` is empty if it leads nowhere, `cost` if it is unknown."""

    name: str
    link: str
    tokens: int
    cost: str
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The tokens by what they were spent on."""
        return ", ".join(f"{one.name} {one.tokens:,}" for one in self.segments)


@dataclass(frozen=True, slots=True)
class TokenChart:
    """The bars of the run, of its tools and of its most expensive queries."""

    run: Bar
    tools: tuple[Bar, ...]
    more_tools: int
    queries: tuple[Bar, ...]


class TokenCounts:
    """Collects the tokens of a run's conversations."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._run = TokenShares()
        self._dollars = 0.0
        self._by_tool: defaultdict[str, float] = defaultdict(float)
        self._is_priced = record.model.is_asked
        self._rates: dict[str, _Rates | None] = {}
        self._heaviest: list[tuple[int, int, str, list[int], float | None]] = []
        self._count = 0

    def shares(self, transcript: Transcript) -> TokenShares | None:
        """Return what a conversation's tokens were spent on; None if the API reported none."""
        return token_shares(transcript, self._definitions)

    def add(self, transcript: Transcript) -> None:
        """Add a conversation."""
        self._count += 1
        shares = self.shares(transcript)
        if shares is None or transcript.usage is None:
            return
        dollars = self._priced(shares, transcript.model, transcript.usage)
        self._run.add(shares)
        name = f"{transcript.id} ({transcript.repeat})" if transcript.repeat > 1 else transcript.id
        whole = shares.whole
        one = (sum(whole), -self._count, name, whole, dollars)
        (heapq.heappush if len(self._heaviest) < _QUERIES else heapq.heappushpop)(self._heaviest, one)

    def chart(self) -> TokenChart | None:
        """Return the chart; None if the API reported no tokens."""
        whole = self._run.whole
        if not any(whole):
            return None
        tools = sorted(self._tools(), key=lambda one: (-sum(one[1]), one[0]))
        most_of_tools = max((sum(tokens) for _, tokens in tools), default=1)
        queries = sorted(self._heaviest, reverse=True)
        return TokenChart(
            run=_bar("All queries", "", whole, sum(whole), self._dollars if self._is_priced else None),
            tools=tuple(self._tool_bar(name, tokens, most_of_tools) for name, tokens in tools[:_TOOLS]),
            more_tools=max(0, len(tools) - _TOOLS),
            queries=tuple(
                _bar(name, _link("q", name), tokens, queries[0][0], dollars) for _, _, name, tokens, dollars in queries
            ),
        )

    @cached_property
    def _definitions(self) -> Mapping[str, int]:
        """The bytes of the definitions that were sent."""
        with suppress(Exception):  # a record that was edited must not cost the page
            return sent_definitions(self._record).sizes
        return {}

    def _tools(self) -> Iterator[tuple[str, list[int]]]:
        """Yield each tool with the tokens of its definition, its results and its calls, in the order of `SHARES`."""
        run = self._run
        for tool in {**run.definitions, **run.calls, **run.results}:
            by_share = {"definitions": run.definitions, "results": run.results, "output": run.calls}
            tokens = [by_share[name].get(tool, 0.0) if name in by_share else 0.0 for name in SHARES]
            if any(tokens):
                yield tool, rounded(tokens)

    def _tool_bar(self, name: str, tokens: Sequence[int], most: int) -> Bar:
        is_called = name in self._run.calls or name in self._run.results
        dollars = self._by_tool[name] if self._is_priced else None
        return _bar(name, _link("tool", name) if is_called else "", tokens, most, dollars)

    def _priced(self, shares: TokenShares, model: str, usage: Usage) -> float | None:
        """Add the cost of a conversation to those of the run and of the tools, and return it; None if it is unknown."""
        if not self._is_priced:
            return None
        if model not in self._rates:
            self._rates[model] = _Rates.of(model, self._record.model.kind)
        rates = self._rates[model]
        if rates is None:
            self._is_priced = False
            return None
        blended = rates.input(usage)
        for tokens, rate in ((shares.definitions, blended), (shares.results, blended), (shares.calls, rates.output)):
            for tool, count in tokens.items():
                self._by_tool[tool] += count * rate
        dollars = sum(shares.spent[name] * (rates.output if name == "output" else blended) for name in SHARES)
        self._dollars += dollars
        return dollars


@dataclass(frozen=True, slots=True)
class _Rates:
    """Prices of a model's tokens in US dollars each."""

    plain: float
    read: float
    written: float
    output: float

    @classmethod
    def of(cls, model: str, kind: str) -> _Rates | None:
        """Return the prices of a model; None if they are unknown, or the package for prices is not installed."""
        try:
            from mcprun.models.prices import price
        except UsageError:
            return None
        usages = (
            Usage(input_tokens=_SAMPLE), Usage(cache_read_input_tokens=_SAMPLE),
            Usage(cache_creation_input_tokens=_SAMPLE), Usage(output_tokens=_SAMPLE),
        )  # fmt: skip
        prices = [price(model, usage, kind) for usage in usages]
        known = [one / _SAMPLE for one in prices if one is not None]
        return cls(*known) if len(known) == len(usages) else None

    def input(self, usage: Usage) -> float:
        """Return the price of an input token of a conversation, blended by what the prompt cache saved."""
        total = (
            usage.input_tokens * self.plain
            + usage.cache_read_input_tokens * self.read
            + usage.cache_creation_input_tokens * self.written
        )
        return total / usage.read if usage.read else 0.0


def tokens_json(shares: TokenShares | None) -> JsonObject:
    """Return the tokens of a query for `tokens.js`, by `SHARES`; nothing if the API reported none."""
    return {} if shares is None else {"tokens": shares.whole}


def _bar(name: str, link: str, tokens: Sequence[int], most: int, dollars: float | None = None) -> Bar:
    segments, x = [], 0.0
    for share, count in zip(SHARES, tokens, strict=True):
        width = _WIDTH * count / (most or 1)
        if count:
            segments.append(Segment(share, count, round(x, 2), round(width, 2)))
        x += width
    cost = "" if dollars is None else f"${dollars:,.4f}" if dollars < 1 else f"${dollars:,.2f}"
    return Bar(visible(bounded_name(name)), link, sum(tokens), cost, tuple(segments))


def _link(key: str, name: str) -> str:
    return f"#{key}={quote(visible(bounded_name(name)), safe=_UNRESERVED)}"
