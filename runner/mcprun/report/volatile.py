"""What a comparison masked, and the options that would leave out what looks volatile, as text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mcprun.analysis.diff.rule import ComparedShare, Rule, VolatileSummary
from mcprun.analysis.volatile.rules import toml_lines
from mcprun.report.text import one_line, plural, visible

_NAMED = 10
"""Maximum number of queries that a line names."""

_NAME = 60
"""Maximum number of characters of a query's id."""


def masked_lines(found: VolatileSummary, title: str = "masked") -> Iterator[str]:
    """Yield lines that list what each rule masked, and how much of the results is compared."""
    if not found.masked:
        return
    yield f"{title}:"
    flags = [visible(one.rule.flag) for one in found.masked]
    width = max(map(len, flags))
    for flag, one in zip(flags, found.masked, strict=True):
        yield f"  {flag:<{width}}  {plural(one.values, 'value')} in {plural(one.queries, 'query')}"
    if found.shares:
        shares = [f"{_name(one.id)} {_percent(one.share)}" for one in found.shares[:_NAMED]]
        more = len(found.shares) + found.more_shares - len(shares)
        rest = [f"and {plural(more, 'more query')}"] if more else []
        yield f"results still compared: {', '.join(shares + rest)}"


def empty_warning(shares: Iterable[ComparedShare]) -> str:
    """Return a warning that names the queries of whose results nothing is compared; empty if there are none."""
    names = [_name(one.id) for one in shares if one.is_empty]
    if not names:
        return ""
    more = [f"and {len(names) - _NAMED:,} more"] if len(names) > _NAMED else []
    return (
        f"nothing is left to compare of the results of {', '.join(names[:_NAMED] + more)}: the rules mask all of them,"
        " so a change would go unnoticed"
    )


def suggestion_lines(found: VolatileSummary) -> Iterator[str]:
    """Yield lines with the flags, and the lines of `mcprun.toml`, that would leave out what looks volatile."""
    if not found.suggested:
        return
    verb = "differs" if found.suggested_for == 1 else "differ"
    yield f"{plural(found.suggested_for, 'query')} {verb} in values that look volatile. To leave them out, add:"
    yield f"  {visible(' '.join(rule.flag for rule in found.suggested))}"
    yield "or, in mcprun.toml:"
    yield from (f"  {visible(line)}" for line in setting_lines(found.suggested, found.in_force))


@dataclass(frozen=True, slots=True)
class Note:
    """A note of a report: a title, and lines below it."""

    title: str
    lines: tuple[str, ...]


def note_blocks(found: VolatileSummary) -> Iterator[Note]:
    """Yield the notes of a report: what looks volatile, queries of which nothing is compared, and what was masked."""
    if found.conditions:
        yield Note("The runs were recorded under other conditions", (found.conditions,))
    if suggestion := tuple(suggestion_lines(found)):
        yield Note(suggestion[0], suggestion[1:])
    if warning := empty_warning(found.shares):
        yield Note("Nothing is left to compare of the results of a query", (warning,))
    if masked := tuple(masked_lines(found)):
        yield Note("What was masked", masked[1:])


def setting_lines(rules: Sequence[Rule], in_force: Sequence[Rule]) -> list[str]:
    """Return the lines of `mcprun.toml` that add rules to those in force. A list has to be set as a whole."""
    added = {rule.option for rule in rules}
    return toml_lines([*(rule for rule in in_force if rule.option in added), *rules])


def _name(text: str) -> str:
    return one_line(text, _NAME)


def _percent(share: float) -> str:
    """Return a share as a percentage that is 0 or 100 only if exactly none or all is compared."""
    return f"{share:.0%}" if share in (0, 1) or 0.005 <= share < 0.995 else "<1%" if share < 0.5 else ">99%"
