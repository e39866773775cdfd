"""Bounded names of queries and tools, equal wherever a page mentions them. Pure."""

from __future__ import annotations

_NAME = 300
"""Maximum number of characters of an id or a tool's name in the table."""


def bounded_name(name: str) -> str:
    """Return a name, cut to what the table holds."""
    return name if len(name) <= _NAME else f"{name[:_NAME]}…"
