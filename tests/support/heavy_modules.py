"""Modules that are imported only when they are needed."""

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
