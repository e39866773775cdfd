"""Open the servers, the model and the judge of a run, and yield what runs queries with them.

A run does this once in its own process or, with `--ray`, once in each actor (`engine/ray/run.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from mcprun._util.async_library import name_asyncio
from mcprun._util.deadline import Gate
from mcprun._util.gc_tuning import gc_paused
from mcprun._util.json_value import JsonObject
from mcprun._util.operating_system import allow_open_files
from mcprun._util.tasks import background_task
from mcprun.client.connector import ConnectOptions, Connector
from mcprun.client.pool import ServerPool
from mcprun.client.target import HttpTarget, InProcessTarget
from mcprun.client.transports.process import PrestartedServer
from mcprun.engine.attempts import QueryExecutor
from mcprun.engine.catalog_listing import CatalogListing
from mcprun.engine.judge import open_judge
from mcprun.engine.routing import Router
from mcprun.engine.run_context import RunContext
from mcprun.engine.tool_loop import Divergence, GivenDivergence, ToolLoop
from mcprun.engine.worker_config import WorkerConfig
from mcprun.models.base import Model
from mcprun.models.budget import Budget
from mcprun.models.model_context import ModelContext
from mcprun.models.replay import ReplayModel
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef, Emit, WarningEvent
from mcprun.runs.redaction import Redactor
from mcprun.runs.transcript import Said
from mcprun.runs.warn_once import WarnOnce
from mcprun.tools.format import ValueFormatter

_FILES, _SERVER_FILES = 64, 8
"""Files that a process has open with no query in flight, and those of each server that it started: mostly pipes."""


@asynccontextmanager
async def open_worker(context: RunContext, prestarted: PrestartedServer | None = None) -> AsyncIterator[QueryExecutor]:
    """Start the servers and open the model and the judge. Shut them down when the context exits.

    `prestarted` is the first server, if it has been started already. Raises `RunError` if a server can't be started, or
    the model can't be opened.
    """
    config = context.config
    _allow_open_files(config, context.emit)
    if not isinstance(config.target, InProcessTarget):  # whose handlers may run another library in a thread
        name_asyncio()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        with gc_paused():  # the clients of the SDKs import many modules when created
            await enter(background_task(config.model.load()))  # about as long as a server takes to start
            servers = await enter(_server_pool(context, prestarted))
            model_context = _model_context(context)
            model = await enter(config.model.open(model_context))
            judge = await enter(open_judge(config.judge, model, model_context))
        loop = _tool_loop(context, model_context, model)
        yield QueryExecutor(
            loop=loop,
            judge=judge,
            servers=servers,
            allow_tool_errors=config.allow_tool_errors,
            fail_diverged=config.on_divergence != "continue",
            formatter=model_context.formatter,
            run_stop=context.run_stop,
            catalog=CatalogListing(context.emit),
            router=Router(loop, config.route.decoys) if config.route else None,
        )


def _allow_open_files(config: WorkerConfig, emit: Emit) -> None:
    """Raise the limit of open files to what the queries in flight may need, and warn if the system allows fewer."""
    concurrency = config.limits.concurrency
    connections = sum((config.model.record.is_asked, config.judge is not None, isinstance(config.target, HttpTarget)))
    servers = concurrency if config.fresh_server else config.servers
    needed = _FILES + connections * concurrency + _SERVER_FILES * servers
    allowed = allow_open_files(needed)
    if allowed is not None and allowed < needed:
        message = (
            f"--concurrency {concurrency} may need {needed:,} open files, and the system allows {allowed:,}: lower"
            " --concurrency, or raise the limit with ulimit -n"
        )
        emit(WarningEvent(message=message))


def _server_pool(context: RunContext, prestarted: PrestartedServer | None) -> ServerPool:
    config, limits = context.config, context.config.limits
    options = ConnectOptions(
        timeout_s=limits.connect_seconds,
        protocol=config.protocol,
        features=config.features,
        max_bytes=limits.max_result_bytes,
        max_call_s=limits.max_total_call_seconds,
    )
    connector = Connector(config.target, context.log, context.emit, options, prestarted)
    return ServerPool(
        connector, size=config.servers, fresh=config.fresh_server, restarts=limits.restarts, emit=context.emit
    )


def _model_context(context: RunContext) -> ModelContext:
    """Return the context of the model and the judge, with a budget that earlier replies are charged to."""
    config, emit = context.config, context.emit
    return ModelContext(
        limits=config.limits,
        emit=emit,
        warn=WarnOnce(emit),
        budget=Budget.for_run(config.limits, emit, config.model.record.kind, context.billed_replies),
        access=context.access,
        formatter=ValueFormatter(config.redactor.text),
        scrubber=config.scrubber,
        limiter=context.limiter,
        batch_context=context.batch_context,
    )


def _tool_loop(context: RunContext, model_context: ModelContext, model: Model) -> ToolLoop:
    config = context.config
    return ToolLoop(
        model=model,
        limits=config.limits,
        system=config.system,
        emit=context.emit,
        permit=config.permit,
        features=config.features,
        divergence=_call_divergence(model, config.redactor),
        opening_divergence=_opening_divergence(model, config.redactor),
        stop_diverged=config.on_divergence == "stop",
        gate=Gate(config.limits.concurrency) if config.model.is_batched else None,
        approve=model.approve if isinstance(model, ReplayModel) else None,
        warn=model_context.warn,
    )


def _call_divergence(model: Model, redactor: Redactor) -> Divergence | None:
    """Return the comparison of calls with a recording, in a replay. Calls are redacted first, as recorded ones are."""
    if not isinstance(model, ReplayModel):
        return None
    return lambda query, where, number, call: model.divergence(query, where, number, redactor.value(call))


def _opening_divergence(model: Model, redactor: Redactor) -> GivenDivergence | None:
    """Return the comparison of the server's opening messages with a recording, as `_call_divergence` does for calls."""
    if not isinstance(model, ReplayModel):
        return None

    def differs(query: Query, where: AttemptRef, given: list[JsonObject]) -> str:
        return model.opening_divergence(query, where, redactor.value(Said(messages=given)).messages)

    return differs
