"""Open a chat as a run: start the server and the model, and write the run directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcprun._util.run_stop import RunStop
from mcprun.chat.approval import Approval, Approver, Ask
from mcprun.chat.session import NAME, ChatSession, prompts_of
from mcprun.client.pool import ServerPool
from mcprun.client.sdk_logging import sdk_logs
from mcprun.client.server_log import ServerLog
from mcprun.client.session import described
from mcprun.client.target import warnings_of
from mcprun.engine.attempts import QueryExecutor
from mcprun.engine.recorder import Recorder, head
from mcprun.engine.run import RunPlan
from mcprun.engine.skipped import skipped_transcript
from mcprun.engine.tool_loop import ToolLoop
from mcprun.engine.worker import connector_of
from mcprun.errors import RunError
from mcprun.limits import MAX_LOG_BYTES
from mcprun.models.access_policy import RunAccess
from mcprun.models.budget import Budget
from mcprun.runs.directory import new_directory
from mcprun.runs.events import Event, RunStart, WarningEvent
from mcprun.runs.writer import RunWriter
from mcprun.tools.format import ValueFormatter
from mcprun.tools.toolset import unmatched


@asynccontextmanager
async def open_chat(
    plan: RunPlan, person: Approver, ask: Ask, watch: Callable[[Event], None] = lambda _: None
) -> AsyncIterator[ChatSession]:
    """Start the server and yield the chat. Shut the server down and finish the run when the context exits.

    `plan.prompts` must be `prompts_of([])`. `watch` is called with each event. Raises `UsageError` if the run directory
    cannot be created, and `RunError` if the server does not start.
    """
    ending, limits, model = RunStop(), plan.limits, plan.model.record
    record = head(plan.prompts, model, None, limits, plan.arguments, None)
    # It becomes the latest run after the first exchange: until then there is nothing to show.
    journal = RunWriter(new_directory(NAME, plan.out))
    recorder = Recorder(journal, record, plan.redactor, watch, ending, is_latest=False)
    recorder.begin(plan.prompts)
    chat: ChatSession | None = None
    try:
        recorder.emit(RunStart(queries=0, done=0, model=model.name, chosen=model.chosen))
        for warning in warnings_of(plan.target):
            recorder.emit(WarningEvent(message=warning))
        show = ValueFormatter(plan.redactor.text)
        budget = Budget.begun(limits, recorder.emit, model.kind, ())
        access = RunAccess(ending)
        connector = connector_of(plan, ServerLog(journal.log, plan.redactor, MAX_LOG_BYTES), recorder.emit)
        with sdk_logs(recorder.emit, plan.redactor):
            async with (
                plan.model.open(limits, recorder.emit, plan.scrubber, show, budget, access=access) as answerer,
                ServerPool(connector, restarts=limits.restarts, emit=recorder.emit) as servers,
            ):
                recorder.answered(described(servers.first))
                for message in unmatched(plan.permit, {}, servers.first.tools.listed):
                    recorder.emit(WarningEvent(message=message))
                loop = ToolLoop(
                    model=answerer,
                    limits=limits,
                    system=plan.system,
                    emit=recorder.emit,
                    permit=plan.permit,
                    offers=plan.offers,
                    hear=person.hear,
                )
                attempts = QueryExecutor(
                    loop=loop,
                    judge=None,
                    servers=servers,
                    allow_tool_errors=False,
                    fail_diverged=False,
                    show=show,
                    run_stop=ending,
                )
                chat = ChatSession(plan, recorder, attempts, Approval(ask, person, plan.redactor), ending)
                try:
                    yield chat
                finally:
                    chat.new()
    except RunError as error:
        ending.stop(error)
        raise
    finally:
        with prompts_of([]) if chat is None else chat.prompts as prompts:
            recorder.finish(
                prompts,
                lambda query, repeat, why: skipped_transcript(query, repeat, why, system=plan.system, model=model.name),
                None,
            )
