"""Add up what a server lists in several sessions, in one `ServerRecord`. Pure.

A server may list other tools in another session, or later in the same one. `tools` are those that the first session
listed when it began; `later_tools` are all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import reduce

from mcprun._util.json_value import JsonObject, key_of
from mcprun.runs.run_record import Malformed, ServerRecord

MAX_SCHEMAS = 8
"""Maximum input schemas of one tool that are kept. Some servers write the time or a random value into a schema."""

CATALOG = ("prompts", "resources", "resource_templates")
"""The lists of a `ServerRecord` beside its tools, each of which is None if it is not known."""

MAX_NAMES = 10_000
"""Maximum tools, and malformed ones, that are kept in addition to those of the first session."""


def with_listing(
    record: ServerRecord, tools: Iterable[JsonObject], malformed: Iterable[Malformed] = ()
) -> ServerRecord:
    """Return a record that also holds the tools and the malformed tools of another list of the same server.

    A tool is added if the record has none of its name, or none with its input schema. Return the same object if
    nothing is added.
    """
    known = [*record.tools, *record.later_tools]
    forms = {_form(tool) for tool in known}
    schemas = Counter(tool["name"] for tool in known)
    later = list(record.later_tools)
    for tool in tools:
        name, form = tool["name"], _form(tool)
        if form in forms or schemas[name] >= MAX_SCHEMAS or len(later) >= MAX_NAMES:
            continue
        forms.add(form)
        schemas[name] += 1
        later.append(tool)
    names = {one.item for one in (*record.malformed, *record.later_malformed) if one.rule == "malformed"}
    later_malformed = list(record.later_malformed)
    for one in malformed:
        if one.rule == "malformed" and one.item not in names and len(later_malformed) < MAX_NAMES:
            names.add(one.item)
            later_malformed.append(one)
    if len(later) == len(record.later_tools) and len(later_malformed) == len(record.later_malformed):
        return record
    return record.model_copy(update={"later_tools": later, "later_malformed": later_malformed})


def joined_listings(first: ServerRecord, others: Iterable[ServerRecord]) -> ServerRecord:
    """Return the first record with everything that the servers of the others listed."""
    return reduce(_with_record, others, first)


def _with_record(record: ServerRecord, other: ServerRecord) -> ServerRecord:
    joined = with_listing(record, [*other.tools, *other.later_tools], [*other.malformed, *other.later_malformed])
    return with_catalog(joined, other)


def with_catalog(record: ServerRecord, other: ServerRecord) -> ServerRecord:
    """Return a record that also holds the prompts, resources and templates of another record of the same server.

    Return the same object if nothing is added.
    """
    added = {name: _union(getattr(record, name), getattr(other, name)) for name in CATALOG}
    changed = {name: names for name, names in added.items() if names != getattr(record, name)}
    return record.model_copy(update=changed) if changed else record


def _union(known: list[str] | None, more: Iterable[str] | None) -> list[str] | None:
    if more is None:
        return known
    return list(dict.fromkeys([*(known or ()), *more]))[:MAX_NAMES]


def _form(tool: JsonObject) -> tuple[str, str]:
    return tool["name"], key_of(tool.get("inputSchema"))
