"""What was paid for: replies, and the input that the cache of prompts made cheap."""

from __future__ import annotations

from typing import NamedTuple

from mcprun.runs.records import Usage


class BilledReply(NamedTuple):
    """A reply that was paid for: who gave it, its tokens where they were counted, whether it came with a batch."""

    model: str
    usage: Usage | None
    is_batched: bool = False


def cached(usage: Usage) -> float:
    """Give the share of the input, from 0 to 1, that was read from the cache of prompts."""
    return usage.cache_read_input_tokens / usage.read if usage.read else 0.0
