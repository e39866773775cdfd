"""Open the servers, the model and the judge of a run, and return what runs queries with them.

A run does this once in its own process or, with `--ray`, once in each actor (`engine/ray/run.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from mcprun._util.deadline import Gate
from mcprun._util.gc_tuning import gc_paused
from mcprun._util.json_value import JsonObject
from mcprun._util.run_stop import RunStop
from mcprun._util.tasks import background_task
from mcprun.client.connector import Connector
from mcprun.client.pool import ServerPool
from mcprun.client.server_log import ServerLog
from mcprun.client.session import described
from mcprun.client.transports.process import PrestartedServer
from mcprun.engine.attempts import QueryExecutor
from mcprun.engine.judge import open_judge
from mcprun.engine.tool_loop import Divergence, GivenDivergence, ToolLoop
from mcprun.engine.worker_config import WorkerConfig
from mcprun.models.access_policy import Access
from mcprun.models.base import Model
from mcprun.models.budget import Budget
from mcprun.models.message_batches.queue import BatchContext
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.models.replay import ReplayModel
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef, Emit, WarningEvent
from mcprun.runs.redaction import Redactor
from mcprun.runs.run_record import ServerRecord
from mcprun.runs.totals import BilledReply
from mcprun.runs.transcript import Said, Transcript
from mcprun.runs.warn_once import WarnOnce
from mcprun.tools.format import ValueFormatter


@dataclass(frozen=True, slots=True)
class QueryRunner:
    """The server that the queries use (`about`), and a function that runs a repeat of a query (`QueryExecutor.run`)."""

    about: ServerRecord
    run: Callable[[Query, int], Awaitable[Transcript]]


@asynccontextmanager
async def workplace(
    setup: WorkerConfig,
    log: ServerLog,
    emit: Emit,
    ending: RunStop,
    earlier: Iterable[BilledReply] = (),
    *,
    waves: BatchContext | None = None,
    throttle: AdaptiveLimiter | None = None,
    access: Access,
    ahead: PrestartedServer | None = None,
) -> AsyncIterator[QueryRunner]:
    """Start the servers and open the model and the judge. Shut them down when the context exits.

    Args:
        setup: What to run the queries with.
        log: Receives the servers' stderr.
        emit: Receives the events.
        ending: Ends the run early.
        earlier: The replies that earlier processes of the run were billed for.
        waves: What Message Batches need to know of the run.
        throttle: The rate limiter of requests to the model and the judge. By default, they make their own.
        access: Decides what a refusal of credentials by the API means.
        ahead: The first server, if it has been started already.

    Raises:
        RunError: A server can't be started, or the model can't be opened.
    """
    limits, show, warn = setup.limits, ValueFormatter(setup.redactor.text), WarnOnce(emit)
    connector = connector_of(setup, log, emit, ahead)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        with gc_paused():  # the clients of the SDKs import many modules when created
            await enter(background_task(setup.model.load()))  # about as long as a server takes to start
            pool = ServerPool(
                connector, size=setup.servers, fresh=setup.fresh_server, restarts=limits.restarts, emit=emit
            )
            servers = await enter(pool)
            budget = Budget.begun(limits, emit, setup.model.record.kind, earlier)
            opening = setup.model.open(
                limits, emit, setup.scrubber, show, budget, waves=waves, throttle=throttle, warn=warn, access=access
            )
            model = await enter(opening)
            judge = await enter(open_judge(setup.judge, model, limits, emit, show, budget, throttle, access=access))
        if setup.permit and not servers.first.tools.only(setup.permit).names:
            emit(
                WarningEvent(
                    message="no tools left: --allow-tool, --deny-tool and --read-only exclude all of the server's tools"
                )
            )
        loop = ToolLoop(
            model=model,
            limits=limits,
            system=setup.system,
            emit=emit,
            permit=setup.permit,
            offers=setup.offers,
            divergence=_call_divergence(model, setup.redactor),
            given_divergence=_given_divergence(model, setup.redactor),
            stop_diverged=setup.on_divergence == "stop",
            gate=Gate(limits.concurrency) if setup.model.is_batched else None,
            approve=model.approve if isinstance(model, ReplayModel) else None,
            warn=warn,
        )
        attempts = QueryExecutor(
            loop=loop,
            judge=judge,
            servers=servers,
            allow_tool_errors=setup.allow_tool_errors,
            fail_diverged=setup.on_divergence != "continue",
            show=show,
            run_stop=ending,
        )
        yield QueryRunner(described(servers.first), attempts.run)


def connector_of(setup: WorkerConfig, log: ServerLog, emit: Emit, ahead: PrestartedServer | None = None) -> Connector:
    """Return a connector for servers. `log` receives their stderr. `ahead` is a first one that was started already."""
    return Connector(
        setup.target,
        log=log,
        seconds=setup.limits.connect_seconds,
        most=setup.limits.max_result_bytes,
        most_seconds=setup.limits.most_call_seconds,
        emit=emit,
        protocol=setup.protocol,
        offers=setup.offers,
        ahead=ahead,
    )


def _call_divergence(model: Model, redactor: Redactor) -> Divergence | None:
    """Return the comparison of calls with a recording, in a replay. Calls are redacted first, as recorded ones are."""
    if not isinstance(model, ReplayModel):
        return None
    return lambda query, where, number, call: model.divergence(query, where, number, redactor.value(call))


def _given_divergence(model: Model, redactor: Redactor) -> GivenDivergence | None:
    """Return the comparison of the server's opening messages with a recording, as `_call_divergence` does for calls."""
    if not isinstance(model, ReplayModel):
        return None

    def differs(query: Query, where: AttemptRef, given: list[JsonObject]) -> str:
        return model.given_divergence(query, where, redactor.value(Said(messages=given)).messages)

    return differs
