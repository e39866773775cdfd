"""What is volatile in a suite, as text. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.volatile.passes import VolatileQuery, VolatileSuite
from mcprun.analysis.volatile.places import Place
from mcprun.analysis.volatile.suite_rules import is_covered
from mcprun.report.text import one_line, plural, visible
from mcprun.report.volatile import masked_lines, setting_lines

_QUERIES = 100
"""Maximum number of queries listed."""

_PLACES = 20
"""Maximum number of places listed of one query."""

_WIDTH = 60
"""Maximum number of characters of a path, and of a query's id."""

_REASONS = {
    "text": "the whole result differs",
    "number": "the whole result differs",
    "value": "the whole result differs",
    "length": "lists of different lengths",
    "keys": "different keys",
    "random id": "the whole result differs",
    "error": "an error only sometimes",
    "verdict": "another verdict",
    "stop": "another stop reason",
    "calls": "other calls",
    "prompt": "another prompt of the server",
    "fault": "could not be compared",
}
"""Why no rule covers a place, by its kind."""


def suite_lines(suite: VolatileSuite) -> Iterator[str]:
    """Yield lines that list the volatile places of each query, what all rules mask, and the lines of `mcprun.toml`."""
    rules = {*suite.summary.in_force, *suite.summary.suggested}
    for query in suite.volatile[:_QUERIES]:
        yield from _query_lines(query, rules)
    if (left := len(suite.volatile) - _QUERIES) > 0:
        yield f"… and {plural(left, 'more query')}"
    yield from masked_lines(suite.summary, "with these rules, masked" if suite.summary.suggested else "masked")
    if broken := dict(_broken(suite)):
        verb = "needs" if len(broken) == 1 else "need"
        shown = [f"{one_line(name, _WIDTH)} ({reason})" for name, reason in list(broken.items())[:_PLACES]]
        more = [f"and {len(broken) - _PLACES:,} more"] if len(broken) > _PLACES else []
        yield f"{plural(len(broken), 'query')} {verb} fixing: {', '.join(shown + more)}"
    if suite.summary.suggested:
        yield "Add to mcprun.toml:"
        yield from (f"  {visible(line)}" for line in setting_lines(suite.summary.suggested, suite.summary.in_force))


def suite_outcome(suite: VolatileSuite) -> str:
    """Return the outcome in one line."""
    passes = f"in {suite.passes} passes of {plural(suite.queries, 'query')}"
    if suite.is_stable:
        return f"nothing volatile that the rules do not cover, {passes}"
    return (
        f"FAILED: {plural(len(suite.volatile), 'query')} with volatile results that no rule in force covers, {passes}"
    )


def _broken(suite: VolatileSuite) -> Iterator[tuple[str, str]]:
    """Yield the queries that rules do not help, and why."""
    rules = {*suite.summary.in_force, *suite.summary.suggested}
    for query in suite.volatile:
        if reason := next((_reason(place) for place in query.places if not is_covered(place, rules)), ""):
            yield query.id, reason
    yield from ((one.id, "nothing is left to compare") for one in suite.summary.shares if one.is_empty)


def _reason(place: Place) -> str:
    if place.rule:
        return f"{place.rule.flag} would leave nothing of another query to compare"
    return _REASONS.get(place.kind, place.kind)


def _query_lines(query: VolatileQuery, rules: Collection[Rule]) -> Iterator[str]:
    yield one_line(query.id, _WIDTH)
    rows = [_row(place, rules) for place in query.places[:_PLACES]]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    for path, kind, rule in rows:
        yield f"  {path:<{widths[0]}}  {kind:<{widths[1]}}  {rule}"
    if (left := len(query.places) - _PLACES) > 0:
        yield f"  … and {plural(left, 'more place')}"


def _row(place: Place, rules: Collection[Rule]) -> tuple[str, str, str]:
    path = one_line(place.path, _WIDTH)
    if not is_covered(place, rules):
        return path, place.kind, f"needs fixing: {visible(_reason(place))}"
    rule = place.otherwise if place.otherwise and place.rule not in rules and place.otherwise in rules else place.rule
    return path, place.kind, visible(rule.flag) if rule else ""
