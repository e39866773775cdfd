"""Top-level packages that mcprun imports only when it needs them, for tests of start-up."""

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
