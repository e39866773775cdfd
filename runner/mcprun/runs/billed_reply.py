"""Model replies that are billed, and the share of their input that came from the prompt cache."""

from __future__ import annotations

from typing import NamedTuple

from mcprun.runs.records import Usage


class BilledReply(NamedTuple):
    """A billed reply: the model, its tokens if reported, and whether it came from a Message Batch."""

    model: str
    usage: Usage | None
    is_batched: bool = False


def cached(usage: Usage) -> float:
    """Return the share of the input, from 0 to 1, that was read from the prompt cache."""
    return usage.cache_read_input_tokens / usage.read if usage.read else 0.0
