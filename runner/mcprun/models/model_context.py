"""The objects that the models of a run share, created before a model is opened."""

from __future__ import annotations

from dataclasses import dataclass

from mcprun.analysis.diff.scrub import Scrubber
from mcprun.limits import Limits
from mcprun.models.access_policy import Access
from mcprun.models.budget import Budget
from mcprun.models.message_batches.queue import BatchContext
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.runs.events import Emit
from mcprun.runs.warn_once import Warn
from mcprun.tools.format import ValueFormatter


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelContext:
    """The objects that the model of a run and its judge share.

    Attributes:
        limits: The limits of the run, including those of retries.
        emit: Called with the events of retries and batches.
        warn: Emits the first warning of each kind.
        budget: The budget that replies are charged to.
        access: Judges refusals of the credentials.
        formatter: Formats values in messages.
        scrubber: Removes what a replay ignores when it compares results.
        limiter: The rate limiter of all requests. By default, each client creates its own.
        batch_context: What Message Batches need from the run.
    """

    limits: Limits
    emit: Emit
    warn: Warn
    budget: Budget
    access: Access
    formatter: ValueFormatter
    scrubber: Scrubber
    limiter: AdaptiveLimiter | None = None
    batch_context: BatchContext | None = None
