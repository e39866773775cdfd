"""Helpers for asyncio, JSON, text and the operating system, not specific to mcprun."""
