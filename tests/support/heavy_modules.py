"""Modules that mcprun imports only when it needs them, for tests of start-up."""

from __future__ import annotations

HEAVY = {
    "mcp",
    "mcp_types",
    "anthropic",
    "pydantic",
    "rich",
    "jsonschema",
    "httpx2",
    "jinja2",
    "rstr",
    "rapidfuzz",
    "prompt_toolkit",
    "opentelemetry",
}
"""Top-level packages of others."""

OF_FEW_RUNS = {
    "mcprun.analysis.diff.runs",
    "mcprun.analysis.volatile.findings",
    "mcprun.chat.session",
    "mcprun.cli.baseline_update",
    "mcprun.engine.baseline",
    "mcprun.engine.comparison",
    "mcprun.engine.ray.run",
    "mcprun.models.message_batches.model",
    "mcprun.report.causes",
    "mcprun.report.data",
    "mcprun.report.difference_printer",
    "mcprun.report.html.page",
    "mcprun.report.run_printer",
    "mcprun.report.write",
    "mcprun.telemetry.export",
}
"""Modules of mcprun that only runs with a baseline, a report, batches and so on need, or runs that did not pass."""
