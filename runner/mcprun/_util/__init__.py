"""Asyncio, JSON, text and operating system helpers that know nothing of mcprun."""
