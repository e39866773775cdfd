"""Differences between two runs, as text for a terminal: what became worse first, identical changes once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from mcprun._util.code_points import reveal_name
from mcprun.analysis.diff.groups import Group, Groups, Occurrences
from mcprun.analysis.diff.runs import DiffSummary, MovedRate, QueryDiff
from mcprun.report.change_groups import SHOWN_NAMES, counts, group_pairs, group_title, inline, names
from mcprun.report.change_lines import NAME, SHOWN, Pair, title
from mcprun.report.styles import AMBER
from mcprun.report.text import one_line, plural
from mcprun.report.word_marks import Segments, word_marks
from mcprun.runs.run_record import ComparedCounts
from mcprun.runs.transcript import Verdict
from mcprun.tools.changes import ToolChange

_LINES = 200
"""Maximum number of lines shown for one change; `--json` has all of them."""

_BLOCKS = 200
"""Maximum number of groups and queries shown; `--json` has all of them."""

_RATES = 20
"""Maximum number of pass rates listed."""

_EXAMPLES = 3
"""Number of values shown of a place that has many."""

_VARIANTS = 5
"""Maximum number of variants shown of a query; `--json` has all of them."""

_MARKS = {"added": "+", "removed": "-", "changed": "~"}

Line = tuple[tuple[str, str], ...]
"""The parts of a line: pairs of text and style."""

BASELINE = "the baseline"
"""The name of BASE where a run is compared with its baseline."""


def lines(diff: QueryDiff, base: str = "BASE") -> Iterator[Line]:
    """Lay out one query: a title, and below it the changes, with old values in red and new ones in green.

    `base` names the side that the query is compared with.
    """
    groups = Groups()
    groups.add(diff)
    head = _heading(diff, base)
    yield head
    yield from _changes_of_query(groups.groups())
    yield from _left_out(groups.more)


def blocks(groups: Groups, base: str = "BASE", *, is_inline: bool = True) -> Iterator[list[Line]]:
    """Lay out the changes between two runs as blocks of lines, each with a title.

    Changed verdicts come first, then changes that several queries share, then those of one query, then queries that
    only one side has. With `is_inline`, the title of a group holds its values if they are short, and no line repeats
    them.
    """
    shared = [group for group in groups.groups() if group.occurrences.queries > 1]
    own: dict[tuple[str, int | None], list[Group]] = {}
    for group in groups.groups():
        if group.occurrences.queries == 1:
            own.setdefault(_key(group.occurrences.first[0]), []).append(group)
    yield from _outcomes(groups, own, base)
    rest = iter(
        [
            *(_group_block(group, is_inline) for group in sorted(shared, key=group_priority)),
            *(_query_block(found, base) for found in sorted(own.values(), key=lambda found: group_priority(found[0]))),
        ]
    )
    yield from islice(rest, _BLOCKS)
    if left := sum(1 for _ in rest):
        yield [(("… and ", "dim"), (f"{plural(left, 'more change')}; mcprun diff --json lists all", "dim"))]
    yield [*_left_out(groups.more)]
    for how, sides in (("removed", groups.removed), ("added", groups.added)):
        for verdict, found in sides.items():
            yield [_heading(found.first[0], base) if found.queries == 1 else _one_side(how, verdict, found, base)]


def _outcomes(groups: Groups, own: dict[tuple[str, int | None], list[Group]], base: str) -> Iterator[list[Line]]:
    """Lay out the queries whose outcome has changed. Takes the changes of a query that has a block out of `own`."""
    for (before, after), found in sorted(groups.verdicts.items(), key=verdict_priority):
        if found.queries == 1:
            yield _with_changes(found.first[0], own, base)
        else:
            outcome = f"{before} → {after}"
            yield [
                (
                    ("~ ", _style(after)),
                    (plural(found.queries, "query"), "bold"),
                    (f"  {outcome}", _style(after)),
                    (f": {names(found)}", ""),
                )
            ]
    for diff in groups.rates.first[:_RATES]:
        yield _with_changes(diff, own, base)
    if (left := groups.rates.queries - min(len(groups.rates.first), _RATES)) > 0:
        yield [((f"… and {plural(left, 'more query')} with another pass rate", "dim"),)]


def _with_changes(diff: QueryDiff, own: dict[tuple[str, int | None], list[Group]], base: str) -> list[Line]:
    return [_heading(diff, base), *_changes_of_query(own.pop(_key(diff), []))]


def _query_block(found: list[Group], base: str) -> list[Line]:
    return [_heading(found[0].occurrences.first[0], base), *_changes_of_query(found)]


def _key(diff: QueryDiff) -> tuple[str, int | None]:
    return diff.id, diff.repeat


def group_priority(group: Group) -> tuple[bool, int]:
    """Sort what made queries worse first, then what most queries share."""
    return not group.occurrences.worse, -group.occurrences.queries


def verdict_priority(item: tuple[tuple[str | None, str | None], Occurrences]) -> tuple[bool, bool, int]:
    """Sort queries that no longer pass first, and those that pass again last."""
    (before, after), found = item
    return after == Verdict.PASSED, before != Verdict.PASSED, -found.queries


def _heading(diff: QueryDiff, base: str) -> Line:
    """Return the title of one query: how it differs, its name and its outcome."""
    style = _heading_style(diff)
    repeat = f" (repeat {diff.repeat})" if diff.repeat and diff.repeat > 1 else ""
    only = {"added": f"  new query, not in {base}", "removed": f"  missing query, only in {base}"}.get(diff.how, "")
    return (
        (f"{_MARKS[diff.how]} ", style),
        (one_line(_id(diff), NAME) + repeat, "bold"),
        (f"  {_outcome(diff)}", style),
        (only, "dim"),
    )


def _heading_style(diff: QueryDiff) -> str:
    """Return a colour that never shows a failed query in green."""
    if diff.how == "removed":
        return "red"
    before, after = diff.verdicts
    if diff.how == "changed" and (diff.repeat is None or before == after):
        return AMBER
    rate = diff.rates[1]
    return _style(after) if diff.repeat is not None or rate is None else "green" if rate.passed == rate.runs else AMBER


def _style(verdict: str | None) -> str:
    return {"passed": "green", "failed": "red", "error": "red"}.get(str(verdict), AMBER)


def _one_side(how: str, verdict: str | None, found: Occurrences, base: str) -> Line:
    """Return the title of several queries that only one side has."""
    only = f"missing queries, only in {base}" if how == "removed" else f"new queries, not in {base}"
    style = "red" if how == "removed" else _style(verdict or "passed")
    return (
        (f"{_MARKS[how]} ", style),
        (plural(found.queries, "query"), "bold"),
        (f"  {verdict}" if verdict else "", style),
        (f"  {only}", "dim"),
        (f": {names(found)}", ""),
    )


def _id(diff: QueryDiff) -> str:
    """Return a query's id, with its non-NFC characters spelled out if only one run has it.

    The other run may have a query whose id looks the same.
    """
    return diff.id if diff.how == "changed" else reveal_name(diff.id)


def _changes_of_query(found: Sequence[Group]) -> Iterator[Line]:
    """Lay out the changes of one query, each below its call."""
    variants: list[int] = []
    left = 0
    for group in found:
        value = group.values[0]
        if (variant := value.variant) and variant.repeat not in variants:
            variants.append(variant.repeat)
            if len(variants) <= _VARIANTS:
                runs = group.occurrences.first[0].rates[1]
                note = f"new in {variant.runs:,} of {plural(runs.runs if runs else 0, 'run')}"
                yield ((f"    {note}, for example repeat {variant.repeat}", AMBER),)
        if len(variants) > _VARIANTS and variant and variant.repeat in variants[_VARIANTS:]:
            left = len(variants) - _VARIANTS
            continue
        calls = group.occurrences.calls - 1
        more = f"  and {plural(calls, 'more call')}" if calls and group.example.call is not None else ""
        yield ("    ", ""), (title(group.example), "cyan"), (more, "dim")
        yield from _value_lines(group)
    if left:
        yield ((f"    … and {plural(left, 'more variant')} not in BASE", "dim"),)


def _group_block(group: Group, is_inline: bool) -> list[Line]:
    """Lay out a change that several queries share."""
    worse = group.occurrences.worse
    note = f"  ({'all' if worse == group.occurrences.queries else f'{worse:,} of them'} worse)" if worse else ""
    shown = [inline(value) for value in group.values]
    is_short = is_inline and group.place is None and len(shown) == 1 and shown[0] is not None
    head: Line = (
        ("~ ", "red" if worse else AMBER),
        (group_title(group, with_values=len(group.values) == 1), "bold"),
        (f": {counts(group)}", ""),
        (note, "red"),
    )
    where: Line = (
        (f"    {names(group.occurrences, SHOWN_NAMES)}", "dim"),
        ("" if group.example.call is None else f"; first: {title(group.example)}", "dim"),
    )
    return [head, where, *(() if is_short else _value_lines(group))]


def _value_lines(group: Group) -> Iterator[Line]:
    """Lay out the values of a group below its title, and count those that are left out."""
    values = group.values[:_EXAMPLES] if group.place else group.values
    pairs = group_pairs(values)
    for line in value_lines(list(islice(pairs, _LINES))):
        yield (("      ", ""), *_styled(line))
    left = sum(1 for _ in pairs) + group.left_out
    if group.place:
        other = "other values" if group.place.is_full else plural(len(group.values) - len(values), "other value")
        yield (("      ", ""), (f"  … and {other}", "dim"))
    elif left:
        yield (("      ", ""), (f"  … and {plural(left, 'more line')}", "dim"))


class ValueLine(NamedTuple):
    """A line of a value: its sign (`-`, `+`, or a space), its segments, and whether it is of an error.

    Segments are equal, different, equal, and so on, if some words differ from the line of the other side.
    """

    sign: str
    segments: Segments
    is_error: bool = False


def value_lines(pairs: Sequence[tuple[Pair, bool]]) -> Iterator[ValueLine]:
    """Yield the lines of values, those that replace each other with the words in which they differ."""
    at = 0
    while at < len(pairs):
        counted = [0, 0]
        for side, sign in enumerate("-+"):
            while at + sum(counted) < len(pairs) and pairs[at + sum(counted)][0][0] == sign:
                counted[side] += 1
        if not any(counted):
            (sign, text), _ = pairs[at]
            yield ValueLine(sign, [text])
            at += 1
            continue
        yield from _replaced(pairs[at : at + counted[0]], pairs[at + counted[0] : at + sum(counted)])
        at += sum(counted)


def _replaced(before: Sequence[tuple[Pair, bool]], after: Sequence[tuple[Pair, bool]]) -> Iterator[ValueLine]:
    paired = min(len(before), len(after))
    marks = [word_marks(before[at][0][1], after[at][0][1]) for at in range(paired)]
    for side, found in enumerate((before, after)):
        for at, ((sign, text), fails) in enumerate(found):
            mark = marks[at] if at < paired else None
            yield ValueLine(sign, mark[side] if mark else [text], fails)


def _styled(line: ValueLine) -> Line:
    """Style a line, with the words that differ in bold. A line of an error is red, also if it is new."""
    style = "dim" if line.sign == " " else "red" if line.sign == "-" or line.is_error else "green"
    parts = ((part, f"bold {style}" if at % 2 else style) for at, part in enumerate(line.segments))
    return (f"{line.sign} ", style), *(part for part in parts if part[0])


def diff_line(line: Line) -> str:
    """Return a line for a fence of the language `diff`, with the sign of a value in the first column.

    There, `+` means green: a value that is an error has the sign `!`.
    """
    text = "".join(part for part, _ in line)
    if text.startswith("+ ") and line[0][1] != "green":
        return f"!{text[1:]}"
    if not text.startswith("      "):
        return f"  {text.strip()}" if text.startswith(" ") else text
    return f"!{text[7:]}" if text[6:7] == "+" and line[1][1].endswith("red") else text[6:]


def _left_out(more: Occurrences) -> Iterator[Line]:
    if more.calls:
        where = f"{plural(more.calls, 'more difference')} in {plural(more.queries, 'query')}"
        yield ((f"… and {where}; mcprun diff --json lists all", "dim"),)


def _outcome(diff: QueryDiff) -> str:
    """Return a query's outcome: its verdicts before and after, or the pass rates of a repeated query."""
    if diff.repeat is not None:
        before, after = diff.verdicts
        return f"{before} → {after}" if before and after and before != after else (after or before or "")
    first, *more = [f"{rate.passed:,}/{rate.runs:,}" for rate in diff.rates if rate]
    if not more or diff.rates[0] == diff.rates[1]:
        return f"{first} passed"
    return f"{first} → {more[0]} passed, {chance(diff)}"


def chance(diff: QueryDiff | MovedRate) -> str:
    """Return the p-value of a change as text: `p = 0.012`, or `p < 0.000001` if it rounds to 0."""
    return f"p = {diff.p:.2g}" if diff.p else "p < 0.000001"


def moved_lines(moved: Sequence[MovedRate], count: int) -> Iterator[Line]:
    """List pass rates that have moved within chance. `count` is the number of all."""
    for one in moved[:_RATES]:
        before, after = (f"{rate.passed:,}/{rate.runs:,}" for rate in one.rates)
        yield (
            ("= ", "dim"),
            (one_line(one.id, NAME), ""),
            (f"  {before} → {after} passed, within chance ({chance(one)})", "dim"),
        )
    if (left := count - min(len(moved), _RATES)) > 0 and moved:
        yield ((f"… and {plural(left, 'more query')} with another pass rate, within chance", "dim"),)


def summary(diff_summary: DiffSummary | ComparedCounts) -> str:
    """Return the totals as text: `2 changed, 1 added, 117 unchanged; 2 pass rates moved, within chance`."""
    counted = {"changed": diff_summary.changed, "added": diff_summary.added, "removed": diff_summary.removed}
    differing = [f"{count:,} {word}" for word, count in counted.items() if count]
    text = ", ".join([*differing, unchanged(diff_summary)])
    return f"{text}; {plural(diff_summary.breaking, 'breaking tool change')}" if diff_summary.breaking else text


def unchanged(diff_summary: DiffSummary | ComparedCounts) -> str:
    """Return how many queries are unchanged as text: `7 unchanged; 2 pass rates moved, within chance`."""
    text = f"{diff_summary.same:,} unchanged"
    text += f" ({diff_summary.fewer:,} with fewer repeats than in BASE)" if diff_summary.fewer else ""
    return text + (f"; {plural(diff_summary.chance, 'pass rate')} moved, within chance" if diff_summary.chance else "")


def tool_lines(tools: Sequence[ToolChange]) -> Iterator[Line]:
    """Lay out the changes of the server's tools, breaking ones first."""
    if tools:
        yield ("~ ", AMBER), ("server tools", "bold")
    for change in sorted(tools, key=lambda change: not change.breaking):
        mark, style = ("✗", "red") if change.breaking else ("~", "dim")
        text = f"{one_line(reveal_name(change.tool), NAME)}  {one_line(change.message, SHOWN)}"
        yield (f"    {mark} ", style), (text, style)
