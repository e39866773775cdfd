"""A server's prompts, resources and resource templates, laid out for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mcprun._util.json_value import JsonObject
from mcprun.report.text import one_line, plural
from mcprun.tools.snapshot import KEYS, Catalog

_NAME = 1000
"""Maximum number of characters shown of a prompt's name and arguments, or of a URI."""

_DESCRIPTION = 300
"""Maximum number of characters shown of an item's details and description."""


def catalog_rows(catalog: Catalog, width: int) -> Iterator[RenderableType]:
    """Lay out a catalog for a terminal `width` columns wide: the count of each kind, then one row per item."""
    yield Text(_count(catalog, "prompts"), "bold")
    yield from _grid([(*_signature(one), _about(one)) for one in catalog.prompts], width)
    for name, key in (("resources", "uri"), ("resource_templates", "uriTemplate")):
        yield Text(_count(catalog, name), "bold")
        rows = [(one_line(str(one[key]), _NAME), "", _about(one, "name", "mimeType")) for one in getattr(catalog, name)]
        yield from _grid(rows, width)


def format_counts(catalog: Catalog) -> str:
    """Return the counts as text: `2 prompts, 1 resource, 3 resource templates`."""
    return ", ".join(_count(catalog, name) for name in KEYS)


def _count(catalog: Catalog, name: str) -> str:
    what = name.replace("_", " ")
    return (
        f"{what}: not listed" if name in catalog.failed else plural(len(getattr(catalog, name)), what.removesuffix("s"))
    )


def _grid(rows: list[tuple[str, str, str]], width: int) -> Iterator[RenderableType]:
    if not rows:
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(max_width=max(20, width // 2), overflow="fold")
    grid.add_column(overflow="fold")
    for name, arguments, about in rows:
        grid.add_row(Text.assemble((name, "cyan"), arguments), Text(about))
    yield grid


def _signature(prompt: JsonObject) -> tuple[str, str]:
    """Return a prompt's name, and its arguments in the notation of tools: `{topic, tone?}`."""
    arguments = [f"{one['name']}{'' if one.get('required') else '?'}" for one in prompt.get("arguments") or []]
    return one_line(str(prompt["name"]), _NAME), one_line("{" + ", ".join(arguments) + "}", _NAME)


def _about(item: JsonObject, *keys: str) -> str:
    """Return the values of `keys`, followed by the first line of the description."""
    lines = str(item.get("description") or "").strip().splitlines()
    facts = ", ".join(str(item[key]) for key in keys if item.get(key))
    return one_line(": ".join(filter(None, (facts, lines[0] if lines else ""))), _DESCRIPTION)
