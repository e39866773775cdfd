"""The run that a chat writes: the server, the model and the files, from the beginning to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcprun._util.run_stop import Ending
from mcprun.chat.approval import Approval, Ask, Person
from mcprun.chat.session import NAME, Chat, prompts_of
from mcprun.client.pool import Pool
from mcprun.client.sdk_logging import sdk_logs
from mcprun.client.server_log import ServerLog
from mcprun.client.session import described
from mcprun.client.target import warnings_of
from mcprun.engine.attempts import Attempts
from mcprun.engine.recorder import Recorder, head
from mcprun.engine.run import Plan
from mcprun.engine.skipped import untried
from mcprun.engine.tool_loop import Loop
from mcprun.engine.worker import connector_of
from mcprun.errors import RunError
from mcprun.limits import MAX_LOG_BYTES
from mcprun.models.access_policy import RunAccess
from mcprun.models.budget import Budget
from mcprun.runs.directory import new_directory
from mcprun.runs.events import Event, RunStart, Warned
from mcprun.runs.writer import Journal
from mcprun.tools.format import Show
from mcprun.tools.toolset import unmatched


@asynccontextmanager
async def open_chat(
    plan: Plan, person: Person, ask: Ask, watch: Callable[[Event], None] = lambda _: None
) -> AsyncIterator[Chat]:
    """Start the server, and end it and the run when the context ends. `watch` is called with each event.

    The plan's prompts are those of `prompts_of([])`. Raises `UsageError` when there is no place to write, `RunError`
    when the server does not start.
    """
    ending, limits, model = Ending(), plan.limits, plan.model.record
    record = head(plan.prompts, model, None, limits, plan.arguments, None)
    # It becomes the latest run when something was said: before, there is nothing to look at.
    journal = Journal(new_directory(NAME, plan.out))
    recorder = Recorder(journal, record, plan.redactor, watch, ending, is_latest=False)
    recorder.begin(plan.prompts)
    chat: Chat | None = None
    try:
        recorder.emit(RunStart(queries=0, done=0, model=model.name, chosen=model.chosen))
        for warning in warnings_of(plan.target):
            recorder.emit(Warned(message=warning))
        show = Show(plan.redactor.text)
        budget = Budget.begun(limits, recorder.emit, model.kind, ())
        access = RunAccess(ending)
        connector = connector_of(plan, ServerLog(journal.log, plan.redactor, MAX_LOG_BYTES), recorder.emit)
        with sdk_logs(recorder.emit, plan.redactor):
            async with (
                plan.model.open(limits, recorder.emit, plan.scrubber, show, budget, access=access) as answerer,
                Pool(connector, restarts=limits.restarts, emit=recorder.emit) as servers,
            ):
                recorder.answered(described(servers.first))
                for message in unmatched(plan.permit, {}, servers.first.tools.listed):
                    recorder.emit(Warned(message=message))
                loop = Loop(
                    model=answerer,
                    limits=limits,
                    system=plan.system,
                    emit=recorder.emit,
                    permit=plan.permit,
                    offers=plan.offers,
                    hear=person.hear,
                )
                attempts = Attempts(
                    loop, None, servers, allow_tool_errors=False, fail_diverged=False, show=show, ending=ending
                )
                chat = Chat(plan, recorder, attempts, Approval(ask, person, plan.redactor), ending)
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
                lambda query, repeat, why: untried(query, repeat, why, system=plan.system, model=model.name),
                None,
            )
