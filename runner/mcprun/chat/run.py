"""Open a chat as a run: start the server and the model, and write the run directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from mcprun._util.run_stop import RunStop
from mcprun.chat.approval import Approval, Approver, Ask
from mcprun.chat.session import NAME, ChatSession, prompts_of
from mcprun.client.sdk_logging import sdk_logs
from mcprun.client.server_log import ServerLog
from mcprun.client.target import warnings_of
from mcprun.engine.recorder import Recorder, initial_record
from mcprun.engine.run import RunPlan
from mcprun.engine.run_context import RunContext
from mcprun.engine.worker import open_worker
from mcprun.errors import RunError
from mcprun.limits import MAX_LOG_BYTES
from mcprun.models.access_policy import RunAccess
from mcprun.runs.directory import new_directory
from mcprun.runs.events import Event, RunStart, WarningEvent
from mcprun.runs.warn_once import drop_warning
from mcprun.runs.writer import RunWriter
from mcprun.tools.toolset import unmatched


@asynccontextmanager
async def open_chat(
    plan: RunPlan, person: Approver, ask: Ask, watch: Callable[[Event], None] = lambda _: None
) -> AsyncIterator[ChatSession]:
    """Start the server and yield the chat. Shut the server down and finish the run when the context exits.

    `plan.prompts` must be `prompts_of([])`. `watch` is called with each event. Raises `UsageError` if the run directory
    cannot be created, and `RunError` if the server does not start.
    """
    run_stop, model = RunStop(), plan.model.record
    # It becomes the latest run after the first exchange: until then there is nothing to show.
    journal = RunWriter(new_directory(NAME, plan.out))
    record = initial_record(plan.prompts, plan, plan.arguments)
    recorder = Recorder(journal, record, plan.redactor, watch, run_stop, is_latest=False)
    recorder.begin(plan.prompts)
    context = RunContext(
        config=plan,
        log=ServerLog(journal.log, plan.redactor, MAX_LOG_BYTES),
        emit=recorder.emit,
        run_stop=run_stop,
        access=RunAccess(run_stop),
    )
    chat: ChatSession | None = None
    try:
        recorder.emit(RunStart(queries=0, done=0, model=model.name, chosen=model.chosen))
        for warning in warnings_of(plan.target):
            recorder.emit(WarningEvent(message=warning))
        async with AsyncExitStack() as stack:
            stack.enter_context(sdk_logs(recorder.emit, plan.redactor))
            executor = await stack.enter_async_context(open_worker(context))
            recorder.record_server(executor.server)
            for message in unmatched(plan.permit, {}, executor.server.tools):
                recorder.emit(WarningEvent(message=message))
            executor = replace(executor, loop=replace(executor.loop, on_text=person.show_text, warn=drop_warning))
            chat = ChatSession(plan, recorder, executor, Approval(ask, person, plan.redactor), run_stop)
            stack.callback(chat.new)
            yield chat
    except RunError as error:
        run_stop.drain(error)
        raise
    finally:
        with prompts_of([]) if chat is None else chat.prompts as prompts:
            recorder.finish(prompts, plan.skipped, None)
