"""The objects that the parts of a run share in one process, created before a server is started or an SDK imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mcprun._util.run_stop import RunStop
from mcprun.client.server_log import ServerLog
from mcprun.engine.worker_config import WorkerConfig
from mcprun.models.access_policy import Access
from mcprun.models.message_batches.queue import BatchContext
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.runs.events import Emit
from mcprun.runs.totals import BilledReply


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The objects that the parts of a run share in one process: the run's own, or that of an actor.

    Attributes:
        config: The configuration that queries are run with.
        log: Receives the servers' stderr.
        emit: Receives the events.
        run_stop: Ends the run early.
        access: Decides what a refusal of credentials by the API means.
        billed_replies: The replies that earlier processes of the run were billed for.
        limiter: The rate limiter of requests to the model and the judge. By default, each creates its own.
        batch_context: What Message Batches need from the run.
    """

    config: WorkerConfig
    log: ServerLog
    emit: Emit
    run_stop: RunStop
    access: Access
    billed_replies: Iterable[BilledReply] = ()
    limiter: AdaptiveLimiter | None = None
    batch_context: BatchContext | None = None
