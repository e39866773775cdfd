"""Count how often runs took prompts and resources from their servers. Only the trace names them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mcprun._util.json_value import JsonObject
from mcprun.analysis.coverage.calls import STEP
from mcprun.analysis.coverage.coverage import ItemCoverage
from mcprun.analysis.coverage.uri_templates import matches
from mcprun.runs.run_record import ServerRecord

_KEYS = {"prompt_get": "prompt", "resource_read": "uri", STEP: "resource"}

ITEM_EVENTS = frozenset(_KEYS)
"""The names of the events of requests for a prompt or a resource."""


@dataclass(slots=True)
class ItemCounts:
    """How often each item of one kind was requested, and how often that failed. None if no list is known."""

    by_name: dict[str, ItemCoverage] | None = None

    def add(self, items: list[ItemCoverage]) -> None:
        """Add the items that the server of a run lists, with its requests for them."""
        self.by_name = self.by_name or {}
        for one in items:
            known = self.by_name.get(one.name, ItemCoverage(one.name))
            self.by_name[one.name] = ItemCoverage(one.name, known.reads + one.reads, known.errors + one.errors)

    def coverage(self) -> tuple[ItemCoverage, ...] | None:
        """Return the items by name."""
        return None if self.by_name is None else tuple(self.by_name[name] for name in sorted(self.by_name))


@dataclass(slots=True)
class ReadItems:
    """The prompts and resources that the queries of one run took from its `server`, by name and by URI."""

    server: ServerRecord
    prompts: dict[str, ItemCoverage] = field(default_factory=dict)
    resources: dict[str, ItemCoverage] = field(default_factory=dict)

    def count(self, event: JsonObject) -> None:
        """Add the request of an event. Other events, and steps that requested nothing, are ignored."""
        name = event.get(_KEYS.get(event["event"], ""))
        if not isinstance(name, str) or event.get("skipped") is not None:
            return
        found = self.prompts if event["event"] == "prompt_get" else self.resources
        known = found.get(name, ItemCoverage(name))
        failed = event.get("problem") is not None or event.get("is_error") is True
        found[name] = ItemCoverage(name, known.reads + 1, known.errors + failed)

    def counted(self) -> Iterator[tuple[str, list[ItemCoverage]]]:
        """Yield each list that the server is known to have, and its items with the requests for them.

        A resource template has those of all URIs that match it.
        """
        server = self.server
        if server.prompts is not None:
            yield "prompts", [self.prompts.get(name, ItemCoverage(name)) for name in dict.fromkeys(server.prompts)]
        if server.resources is not None:
            yield "resources", [self.resources.get(uri, ItemCoverage(uri)) for uri in dict.fromkeys(server.resources)]
        if server.resource_templates is not None:
            yield "resource_templates", [self._of_template(one) for one in dict.fromkeys(server.resource_templates)]

    def _of_template(self, template: str) -> ItemCoverage:
        found = [one for uri, one in self.resources.items() if matches(template, uri)]
        return ItemCoverage(template, sum(one.reads for one in found), sum(one.errors for one in found))
