"""A server's tools, their changes and lint findings, as text for a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mcprun._util.json_value import JsonObject
from mcprun.evaluation.schema_references import referred
from mcprun.report.styles import AMBER
from mcprun.report.text import one_line, plural, visible
from mcprun.runs.run_record import ServerRecord
from mcprun.tools.changes import ToolChange
from mcprun.tools.lint import Finding, token_costs
from mcprun.tools.snapshot import KEYS, Catalog
from mcprun.tools.toolset import ToolSet

_SIGNATURE = 1000
"""Maximum number of characters shown of a tool's name and arguments."""

_NAME = 60
"""Maximum number of characters shown of a tool's name before a change or finding."""

_DESCRIPTION = 300
"""Maximum number of characters shown of the first line of a description."""

_MESSAGE = 1200
"""Maximum number of characters shown of a change or finding; `--json` has all of it."""

_VALUES = 4
"""Maximum number of values shown of an `enum`."""

_READING = frozenset({"read-only", "closed world"})
_ANNOTATION_TEXTS = (
    ("readOnlyHint", True, "read-only"),
    ("destructiveHint", True, "destructive"),
    ("destructiveHint", False, "not destructive"),
    ("idempotentHint", True, "idempotent"),
    ("openWorldHint", False, "closed world"),
)
"""Annotations in words. Values that add nothing have none, such as `openWorldHint: true`."""


def tool_rows(server: ServerRecord, tools: ToolSet, width: int) -> Iterator[RenderableType]:
    """Lay out a server's tools for a terminal `width` columns wide: one row per tool, then the totals."""
    yield Text(_about(server), "bold")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(max_width=max(20, width // 2), overflow="fold")
    grid.add_column(overflow="fold")
    for tool in server.tools:
        name, arguments = signature(tool)
        grid.add_row(Text.assemble((name, "cyan"), arguments), _description(tool))
    yield grid
    yield totals(tools)


def totals(tools: ToolSet, before: str = "", after: str = "") -> Text:
    """Return the number of tools and the cost of their definitions: `17 tools, about 2,300 tokens`."""
    return Text(f"{visible(before)}{_counted(tools)}{after}", "bold" if not before else "")


def change_lines(changes: Sequence[ToolChange], *, is_whole: bool = True) -> Iterator[Text]:
    """Lay out changes, one per line and breaking ones first, then a summary.

    `is_whole` is false if a list could not be read.
    """
    for change in sorted(changes, key=lambda change: not change.breaking):
        mark, style = ("✗", "red") if change.breaking else ("~", AMBER)
        yield _line(mark, style, change.tool, change.message)
    breaking = sum(change.breaking for change in changes)
    counts = f"{plural(breaking, 'breaking change')}, {len(changes) - breaking:,} non-breaking"
    message = counts if changes else "no changes"
    message += "" if is_whole else " (incomplete: a list could not be read)"
    yield Text(message, "bold red" if breaking else "bold" if changes or not is_whole else "green")


def finding_lines(findings: Sequence[Finding], tools: ToolSet) -> Iterator[Text]:
    """Lay out findings, one per line, then a summary."""
    for one in findings:
        mark, style = ("✗", "red") if one.severity == "error" else ("!", AMBER)
        yield _line(mark, style, one.tool or "(all tools)", one.message)
    errors = sum(one.severity == "error" for one in findings)
    message = f"{plural(errors, 'error')}, {plural(len(findings) - errors, 'warning')} in {_counted(tools)}"
    yield Text(message, "bold red" if errors else "bold" if findings else "green")


def as_json(
    server: ServerRecord,
    tools: ToolSet,
    catalog: Catalog | None,
    changes: list[ToolChange] | None,
    findings: list[Finding] | None,
) -> JsonObject:
    """Return everything as a JSON object. The catalog, changes and findings are `null` if not requested."""
    costs = token_costs(tools)
    return {
        "server": {"name": server.name, "version": server.version, "protocol": server.protocol},
        "tools": server.tools,
        "tokens": {"total": sum(costs.values()), "tools": costs},
        "malformed": [one.line() for one in server.malformed],
        **(catalog.line() if catalog else dict.fromkeys(KEYS)),
        "failed": catalog.failed if catalog else {},
        "changes": None if changes is None else [asdict(change) for change in changes],
        "findings": None if findings is None else [asdict(finding) for finding in findings],
    }


def signature(tool: JsonObject) -> tuple[str, str]:
    """Return a tool's name, and its arguments in short notation: `{a: number, unit?: "C" | "F"}`."""
    schema = tool.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    needed = required if isinstance(required, list) else []
    arguments = [
        f"{name}{'' if name in needed else '?'}: {type_text(schema, one)}"
        for name, one in (properties.items() if isinstance(properties, dict) else ())
    ]
    name = one_line(tool["name"], _SIGNATURE)
    return name, one_line("{" + ", ".join(arguments) + "}", _SIGNATURE)


def type_text(root: Any, schema: Any) -> str:
    """Return a schema's type in short notation: `number`, `string[]`, `"C" | "F"`, `string | null`, `any`."""
    match schema:
        case {"$ref": str(reference)}:
            found = referred(root, reference)
            is_short = isinstance(found, dict) and not found.keys() & {"$ref", "properties", "anyOf", "oneOf"}
            return type_text(root, found) if is_short else reference.rpartition("/")[2]
        case {"const": value}:
            return json.dumps(value, ensure_ascii=False)
        case {"enum": [*values]}:
            shown = [json.dumps(value, ensure_ascii=False) for value in values[:_VALUES]]
            return " | ".join([*shown, "…"] if len(values) > _VALUES else shown)
        case {"anyOf": [*either]} | {"oneOf": [*either]}:
            return " | ".join(dict.fromkeys(type_text(root, one) for one in either))
        case {"allOf": [only]}:
            return type_text(root, only)
        case {"type": "array", "items": dict(items)}:
            inner = type_text(root, items)
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        case {"type": str(kind)}:
            return kind
        case {"type": [*kinds]}:
            return " | ".join(map(str, kinds))
    return "any"


def _about(server: ServerRecord) -> str:
    name = " ".join(filter(None, (server.name, server.version))) or "unnamed server"
    return one_line(f"{name}, protocol {server.protocol}", _DESCRIPTION)


def _counted(tools: ToolSet) -> str:
    return f"{plural(len(tools.listed), 'tool')}, about {plural(sum(token_costs(tools).values()), 'token')}"


def _description(tool: JsonObject) -> Text:
    """Return the first line of a description and the annotations in words."""
    lines = str(tool.get("description") or "").strip().splitlines()
    hints = tool.get("annotations")
    words = [word for key, value, word in _ANNOTATION_TEXTS if isinstance(hints, dict) and hints.get(key) is value]
    if "read-only" in words:  # MCP: destructiveHint and idempotentHint are meaningful only if readOnlyHint is false
        words = [word for word in words if word in _READING]
    first = one_line(lines[0], _DESCRIPTION) if lines else ""
    return Text.assemble(first, (f"{' ' if first else ''}[{', '.join(words)}]" if words else "", "dim"))


def _line(mark: str, style: str, tool: str, message: str) -> Text:
    return Text.assemble(
        (f"{mark} ", style), (one_line(tool, _NAME), "bold"), "  ", (one_line(message, _MESSAGE), style)
    )
