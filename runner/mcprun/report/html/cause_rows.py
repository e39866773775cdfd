"""The block "Why it is red" of a run's page: one row per cause, with links to queries and a filter. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from mcprun._util.json_value import JsonObject
from mcprun.report.cause_text import advice
from mcprun.report.causes import Cause, CauseKind
from mcprun.report.html.names import bounded_name
from mcprun.report.text import one_line, visible

_UNRESERVED = "!'()*"
"""Characters that `encodeURIComponent` of the page's script leaves as they are, and `quote` does not."""

_CHOICE = 100
"""Maximum number of characters of a message in the list of causes to choose from."""

_NAME = 60
"""Maximum number of characters of a link to a query."""

_STYLES = {CauseKind.SERVER: "error", CauseKind.STOPPED: "error", CauseKind.SETUP: "error", CauseKind.ERROR: "error"}
"""The verdict as which a cause is coloured; others are failures."""


@dataclass(frozen=True, slots=True)
class QueryLink:
    """A link to a query of the page. `href` is empty if the page does not have it."""

    name: str
    href: str


@dataclass(frozen=True, slots=True)
class CauseRow:
    """A row of the block.

    `style` is the verdict as which it is coloured. `count` is the number of queries, 0 if the cause is not counted.
    `advice` is what to check, if that is known. `show` is the number of rows of the table that the link `href` selects,
    0 if there are none. `is_coverage` is whether it is a coverage gate, which the section about coverage explains.
    """

    style: str
    message: str
    count: int
    tools: tuple[str, ...]
    queries: tuple[QueryLink, ...]
    more: int
    advice: str
    show: int
    href: str
    is_coverage: bool


def cause_rows(causes: tuple[Cause, ...], listed: Mapping[int, int]) -> Iterator[CauseRow]:
    """Yield a row for each cause. `listed` holds the number of rows of the table that each has, by its index."""
    for number, cause in enumerate(causes):
        links = tuple(map(_removed if cause.kind is CauseKind.REMOVED else _link, cause.queries))
        is_counted = not cause.is_of_run
        yield CauseRow(
            style=_STYLES.get(cause.kind, "failed"),
            message=cause.message,
            count=cause.count if is_counted else 0,
            tools=cause.tools,
            queries=links,
            more=max(0, cause.count - len(links)) if links else 0,
            advice=advice(cause),
            show=listed.get(number, 0),
            href=f"#cause={number + 1}",
            is_coverage=cause.kind is CauseKind.COVERAGE,
        )


def cause_choices(causes: tuple[Cause, ...], listed: Mapping[int, int]) -> list[JsonObject]:
    """Return the causes that the table can be filtered by: the `name` of each, and its index as `cause`."""
    return [
        {"cause": number, "name": one_line(f"{cause.count:,} \N{MULTIPLICATION SIGN} {cause.message}", _CHOICE)}
        for number, cause in enumerate(causes)
        if listed.get(number)
    ]


def query_href(id_: str, repeat: int) -> str:
    """Return the link to a query within the page."""
    name = visible(bounded_name(id_))
    return f"#q={quote(f'{name} ({repeat})' if repeat > 1 else name, safe=_UNRESERVED)}"


def _link(key: tuple[str, int]) -> QueryLink:
    id_, repeat = key
    return QueryLink(one_line(f"{id_} ({repeat})" if repeat > 1 else id_, _NAME), query_href(id_, repeat))


def _removed(key: tuple[str, int]) -> QueryLink:
    return QueryLink(one_line(key[0], _NAME), "")
