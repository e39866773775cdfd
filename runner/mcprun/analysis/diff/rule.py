"""Rules that exclude differences, and what they mask in a comparison, as data. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

Option = Literal["scrub", "ignore", "ignore_order"]

MAX_SHARES = 1_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One value of an option: a name or a regular expression for `scrub`, a path for the others."""

    option: Option
    value: str

    @property
    def key(self) -> str:
        """The name of the option in `mcprun.toml`, and without its dashes on the command line."""
        return self.option.replace("_", "-")

    @property
    def flag(self) -> str:
        """The flag with its value, quoted for a POSIX shell."""
        return f"--{self.key} {shlex.quote(self.value)}"


@dataclass(frozen=True, slots=True)
class MaskedRule:
    """What a rule masks in the results of a run: the number of values, and that of the queries that have them."""

    rule: Rule
    values: int
    queries: int


@dataclass(frozen=True, slots=True)
class ComparedShare:
    """The share (0 to 1) of a query's results that is compared: the least of its repeats.

    `is_empty` is set if nothing is left, so that no change of the results would be noticed.
    """

    id: str
    share: float
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class VolatileSummary:
    """What a comparison masked, and the rules that would cover the differences that look volatile.

    `shares` holds the queries of which a part is masked, the least compared first, and at most `MAX_SHARES` of them;
    `more_shares` counts the others. `suggested` are the rules that are missing, for differences in `suggested_for`
    queries. `in_force` are the rules of the comparison. `conditions` is one line, if the runs differ and were recorded
    under other conditions.
    """

    masked: tuple[MaskedRule, ...] = ()
    shares: tuple[ComparedShare, ...] = ()
    more_shares: int = 0
    suggested: tuple[Rule, ...] = ()
    suggested_for: int = 0
    in_force: tuple[Rule, ...] = ()
    conditions: str = ""

    def __bool__(self) -> bool:
        return bool(self.masked or self.suggested or self.conditions)
