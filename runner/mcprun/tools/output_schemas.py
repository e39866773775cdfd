"""Validate the structured results of tool calls against the tools' output schemas (MCP, "Output Schema")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import approximate
from mcprun.evaluation.acceptors import Acceptor, compile_acceptor
from mcprun.evaluation.evaluator import Schema, evaluated
from mcprun.evaluation.json_schema import InvalidSchemaError, check_schema
from mcprun.tools.api_schema import MAX_SCHEMA_DEPTH
from mcprun.tools.toolset import ToolSet


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why a schema can't be used. If `is_invalid`, the server is at fault; otherwise it exceeds a limit of mcprun."""

    reason: str
    is_invalid: bool


@dataclass(frozen=True, slots=True)
class _Usable:
    """A schema that results are validated against, and its acceptor, which is tried first."""

    schema: Schema
    accepts: Acceptor


class OutputSchemas:
    """The output schemas of the tools that a server lists or has listed before."""

    def __init__(self) -> None:
        self._raw: dict[str, Any] = {}
        self._ready: dict[str, _Usable | _Broken] = {}

    def update(self, tools: ToolSet) -> None:
        """Store the schemas of a list of tools. Those of removed tools are kept: calls may be in flight."""
        for tool in tools.listed:
            name = tool["name"]
            self._ready.pop(name, None)
            self._raw[name] = tool.get("outputSchema")

    async def problem(self, tool: str, result: JsonObject) -> tuple[str, tuple[str, ...]]:
        """Return how a result violates its tool's schema (empty if it does not), and notes on skipped checks.

        Raises `EvaluationError` if validation runs out of time.
        """
        if self._raw.get(tool) is None:
            return "", ()
        if "structuredContent" not in result:
            return "structuredContent is missing", ()
        if tool not in self._ready:
            self._ready[tool] = _ready(self._raw[tool])
        ready = self._ready[tool]
        if isinstance(ready, _Broken):
            return (ready.reason, ()) if ready.is_invalid else ("", (ready.reason,))
        value = result["structuredContent"]
        if ready.accepts(value):
            return "", ()
        outcome = await evaluated(lambda: ready.schema.outcome(approximate(value)))
        return str(outcome.problem or ""), outcome.notes


def _ready(schema: Any) -> _Usable | _Broken:
    if levels(schema) > MAX_SCHEMA_DEPTH:
        return _Broken(f"it is nested more than {MAX_SCHEMA_DEPTH} deep, so results are not checked", is_invalid=False)
    try:
        check_schema(schema)
    except InvalidSchemaError as error:
        return _Broken(f"the schema is not valid {error}", is_invalid=True)
    return _Usable(Schema(schema, "ecma"), compile_acceptor(schema))
